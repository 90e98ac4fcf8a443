"""`fedjob build`: the generated job folder, to look into before anything runs (row 35)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedjob.cli.display.console import error_console, error_json, output_console, print_json
from fedjob.cli.options import Checkpoint, File, Json, ModelFile, Shards, local_files, read_job_text
from fedjob.errors import FedjobError
from fedjob.preparation.prepare import prepare_text
from fedjob.workspace.job_folder import JOB_FILE, write_job_folder


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("build", epilog="Example: fedjob build job.yaml --shards shards/ --out job/")(build)


def build(
    file: File,
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.")],
    shards: Shards = None,
    model_file: ModelFile = None,
    checkpoint: Checkpoint = None,
    json: Json = False,
) -> None:
    """Write the NVFlare job folder of the job, to inspect it; nothing is uploaded and nothing runs.

    An older job folder at DIR is replaced; any other folder that is not empty is refused.
    """
    try:
        text, source = read_job_text(file)
        prepared = prepare_text(text, source, local_files(file, shards, model_file, checkpoint))
        files = {**prepared.job_files, JOB_FILE: text.encode()}
        folder = write_job_folder(files, out)
    except FedjobError as error:
        if json:
            print_json(error_json(error))
        raise
    for hint in prepared.hints:
        error_console().print(f"hint: {hint}", style="yellow", markup=False, soft_wrap=True)
    if json:
        print_json({"folder": str(folder), "files": sorted(files)})
        return
    console = output_console()
    for name in sorted(files):
        console.print(f"{folder / name}", markup=False, soft_wrap=True)

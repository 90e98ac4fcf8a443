"""`fedjob validate`: every fault at once, and nothing runs."""

from __future__ import annotations

import typer

from fedjob.cli.display.console import error_console, error_json, output_console, print_json
from fedjob.cli.options import Checkpoint, File, Json, ModelFile, Shards, local_files, read_job_text
from fedjob.errors import FedjobError
from fedjob.preparation.prepare import prepare_text
from fedjob.preparation.prepared import LocalShard


def samples_text(shard: LocalShard) -> str:
    """Its samples after two spaces; empty where only the author's code can count them."""
    return "" if shard.samples is None else f"  {shard.samples} samples"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("validate", epilog="Example: fedjob validate job.yaml --shards shards/")(validate)


def validate(
    file: File,
    shards: Shards = None,
    model_file: ModelFile = None,
    checkpoint: Checkpoint = None,
    json: Json = False,
) -> None:
    """Check the job, its model file and its shards; list every fault with its fix."""
    try:
        text, source = read_job_text(file)
        prepared = prepare_text(text, source, local_files(file, shards, model_file, checkpoint))
    except FedjobError as error:
        if json:
            print_json({"valid": False, **error_json(error)})
        raise
    if json:
        print_json(
            {
                "valid": True,
                "name": prepared.job.metadata.name,
                "numClasses": prepared.num_classes,
                "workers": {
                    name: {"shard": shard.name, "samples": shard.samples}
                    for name, shard in prepared.workers.items()
                },
                "validation": prepared.validation.name if prepared.validation else None,
                "hints": list(prepared.hints),
            }
        )
        return
    for hint in prepared.hints:
        error_console().print(f"hint: {hint}", style="yellow", markup=False, soft_wrap=True)
    console = output_console()
    for name, shard in prepared.workers.items():
        console.print(f"{name}  {shard.name}{samples_text(shard)}", markup=False, soft_wrap=True)
    if prepared.validation is not None:
        shard = prepared.validation
        console.print(
            f"validation  {shard.name}{samples_text(shard)}", markup=False, soft_wrap=True
        )
    classes = f": {prepared.num_classes} classes" if prepared.num_classes else ""
    console.print(f"{file} is valid{classes}", markup=False, soft_wrap=True)

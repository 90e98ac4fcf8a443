"""`fedjob run`: the whole job on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from fedjob.cli.display.console import (
    error_console,
    error_json,
    output_console,
    print_json,
)
from fedjob.cli.display.progress import progress_for
from fedjob.cli.display.screen import rounds_table
from fedjob.cli.options import Checkpoint, File, Json, ModelFile, Shards, local_files, read_job_text
from fedjob.engines.local.processes.commands import require_local_packages
from fedjob.engines.local.processes.overlay import with_packages
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.result import RunResult, RunState
from fedjob.errors import EXIT_FAILED, FedjobError
from fedjob.preparation.prepare import prepare_text
from fedjob.preparation.prepared import LocalFiles, PreparedRun


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", epilog="Example: fedjob run job.yaml --shards shards/ --out out/")(run)


def run(
    file: File,
    *,
    shards: Shards = None,
    model_file: ModelFile = None,
    checkpoint: Checkpoint = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where it runs. \\[default: fedjob-out/<name>]"),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over: forget an earlier run in the folder.")
    ] = False,
    install: Annotated[
        bool,
        typer.Option(
            "--install",
            help="Install missing requirements into a cached folder, for this job only.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Run the whole job here: an S3 server, the federation's server and a worker a shard.

    Ends with model.safetensors, GLOBAL_MODEL.pt, result.json and report.html in the folder. Ctrl-C
    stops everything; the same command continues from the last committed round.
    """
    try:
        files = local_files(file, shards, model_file, checkpoint)
        result = _run(file, files, out, fresh=fresh, install=install, json=json)
    except FedjobError as error:
        if json:
            print_json(error_json(error))
        raise
    if result.state is not RunState.COMPLETE:
        raise typer.Exit(EXIT_FAILED)


def _run(
    file: str,
    files: LocalFiles,
    out: Path | None,
    *,
    fresh: bool,
    install: bool,
    json: bool,
) -> RunResult:
    require_local_packages()
    # Imported late: boto3 costs 0.3 s that no other command needs.
    from fedjob.engines.base import Engine
    from fedjob.engines.local.engine import LocalEngine

    began = time.monotonic()
    text, source = read_job_text(file)
    console = error_console()
    with console.status("prepare: reading the job, its model and its shards"):
        prepared = prepare_text(text, source, files)
    prepared = with_packages(
        prepared, install=install, working=lambda names: console.status(f"install: {names}")
    )
    name = prepared.job.metadata.name
    folder = RunFolder.at(out or Path("fedjob-out") / name)
    rounds = prepared.job.spec.federation.num_rounds
    with progress_for(console, name, rounds, began) as progress:
        progress.note(_summary(prepared))
        for hint in prepared.hints:
            progress.note(hint, warning=True)
        engine: Engine = LocalEngine(prepared, folder, progress, fresh=fresh)
        result = engine.run()
    if json:
        print_json({**result.model_dump(mode="json", by_alias=True), "out": str(folder.out)})
    else:
        _show(result, folder)
    return result


def _summary(prepared: PreparedRun) -> str:
    shards, validation = prepared.shards, prepared.validation
    parts = [f"{len(shards)} shard{'s' * (len(shards) != 1)}"]
    counted = [shard.samples for shard in shards if shard.samples is not None]
    if len(counted) == len(shards):
        parts.append(f"{sum(counted)} samples")
    if validation is not None and validation.samples is not None:
        parts.append(f"{validation.samples} validation samples")
    if prepared.num_classes:
        parts.append(f"{prepared.num_classes} classes")
    return ", ".join(parts)


def _show(result: RunResult, folder: RunFolder) -> None:
    console = output_console()
    if result.rounds:
        console.print(rounds_table(result.rounds))
    if result.state is RunState.COMPLETE:
        console.print(f"model   {folder.model}", soft_wrap=True, markup=False)
        console.print(f"        {folder.model_pt}", soft_wrap=True, markup=False)
        if result.stopped is not None:
            text = f"after round {result.rounds[-1].round} of {result.stopped}"
            console.print(f"stopped early {text}: federation.stopWhen was met", soft_wrap=True)
    else:
        text = f"failed: {result.reason}: {result.message}"
        error_console().print(text, style="red", soft_wrap=True, markup=False)
        console.print(f"logs    {folder.logs}", soft_wrap=True, markup=False)
    if result.best is not None:
        text = f"best    {folder.best_model}  ({result.best.text})"
        console.print(text, soft_wrap=True, markup=False)
    console.print(f"result  {folder.result}", soft_wrap=True, markup=False)
    console.print(f"report  {folder.report}", soft_wrap=True, markup=False)

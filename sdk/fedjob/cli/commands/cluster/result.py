"""`fedjob result`: the model and the report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedjob.cli.cluster_options import Job, job_handle, on_cluster
from fedjob.cli.commands.cluster.submit import detached
from fedjob.cli.display.console import error_console, errors_as_json, output_console, print_json
from fedjob.cli.display.follow_view import follow_view
from fedjob.cli.display.upload_progress import UploadProgress
from fedjob.cli.following import follow_run
from fedjob.cli.interruption import Interrupted
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target
from fedjob.engines.kubernetes.delivery import best_round, deliver, deliver_round, model_name
from fedjob.engines.kubernetes.handle import KubernetesHandle
from fedjob.engines.result import RunState
from fedjob.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Fault,
    InvalidInputError,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("result", epilog="Example: fedjob result digits --out out/")(on_cluster(result))


def result(
    name: Job,
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to write. \\[default: fedjob-out/NAME]"),
    ] = None,
    round_: Annotated[
        int | None,
        typer.Option("--round", metavar="N", min=0, help="The model of a committed round."),
    ] = None,
    best: Annotated[
        bool,
        typer.Option(
            "--best",
            help="The model of the best round: by bestModel, stopWhen, or its metric.",
        ),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for the end of the run first.")
    ] = False,
    target: Target,
    json: Json = False,
) -> None:
    """Fetch model.safetensors, GLOBAL_MODEL.pt, result.json and report.html of a run.

    Where the job has federation.stopWhen or bestModel, best_model.safetensors too.

    --round and --best fetch one round's model, also while the run is under way. An interrupted
    download continues where it ended; every file is checked and written in one step.
    """
    if best and round_ is not None:
        raise InvalidInputError([Fault("--best, --round", "are two models", "give one of them")])
    run = job_handle(name, target)
    folder = (out or Path("fedjob-out") / name).expanduser().absolute()
    try:
        with errors_as_json(json):
            if wait:
                with follow_view(error_console()) as view:
                    follow_run(run, view)
            if best or round_ is not None:
                number = best_round(run) if round_ is None else round_
                _one_round(run, number, folder, json=json)
                return
            failed = _all(run, folder, json=json)
    except Interrupted:
        detached(run)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _one_round(run: KubernetesHandle, number: int, folder: Path, *, json: bool) -> None:
    with UploadProgress(error_console(), "download") as bar:
        path = deliver_round(run, number, folder / model_name(number), bar.moved)
    if json:
        print_json({"round": number, "model": str(path)})
    else:
        output_console().print(str(path), markup=False, soft_wrap=True)


def _all(run: KubernetesHandle, folder: Path, *, json: bool) -> bool:
    """Fetch everything; returns whether the run had failed."""
    with UploadProgress(error_console(), "download") as bar:
        found, files = deliver(run, folder, bar.moved)
    if json:
        print_json({**found.model_dump(mode="json", by_alias=True), "out": str(folder)})
    else:
        for path in files:
            output_console().print(str(path), markup=False, soft_wrap=True)
    if found.state is RunState.FAILED:
        text = f"failed: {found.reason}: {found.message}"
        error_console().print(text, style="red", markup=False, soft_wrap=True)
        return True
    return False

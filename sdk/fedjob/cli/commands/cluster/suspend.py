"""`fedjob suspend` and `fedjob resume`: a run stops, keeps its rounds, and continues."""

from __future__ import annotations

import typer

from fedjob.cli.cluster_options import JobOrFolder, on_cluster, run_handle
from fedjob.cli.display.console import errors_as_json, output_console, print_json
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("suspend", epilog="Example: fedjob suspend digits")(on_cluster(suspend))
    app.command("resume", epilog="Example: fedjob resume digits")(on_cluster(resume))


def suspend(name: JobOrFolder, *, target: Target, json: Json = False) -> None:
    """Stop a run in order; committed rounds stay, and `fedjob resume` continues it."""
    _change(name, target, suspended=True, json=json)


def resume(name: JobOrFolder, *, target: Target, json: Json = False) -> None:
    """Continue a suspended run after its last committed round."""
    _change(name, target, suspended=False, json=json)


def _change(name: str, target: Target, *, suspended: bool, json: bool) -> None:
    with errors_as_json(json):
        run = run_handle(name, target)
        if suspended:
            run.suspend()
        else:
            run.resume()
    if json:
        print_json({"name": run.name, "namespace": run.namespace, "suspended": suspended})
        return
    done = f"resumed; `fedjob watch {run.name}` shows it"
    if suspended:
        done = f"suspended; its pods end, and `fedjob resume {run.name}` continues it"
    output_console().print(f"{run.namespace}/{run.name} {done}", markup=False, soft_wrap=True)

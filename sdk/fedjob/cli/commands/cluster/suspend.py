"""`fedjob suspend`: a run stops, and keeps its rounds."""

from __future__ import annotations

import typer

from fedjob.cli.cluster_options import JobOrFolder, on_cluster, run_handle
from fedjob.cli.display.console import errors_as_json, output_console, print_json
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("suspend", epilog="Example: fedjob suspend digits")(on_cluster(suspend))


def suspend(
    name: JobOrFolder,
    *,
    target: Target,
    json: Json = False,
) -> None:
    """Stop a run in order; committed rounds stay, and `fedjob resume` continues it."""
    with errors_as_json(json):
        run = run_handle(name, target)
        run.suspend()
    if json:
        print_json({"name": run.name, "namespace": run.namespace, "suspended": True})
        return
    after = f"its pods end, and `fedjob resume {run.name}` continues it"
    text = f"{run.namespace}/{run.name} suspended; {after}"
    output_console().print(text, markup=False, soft_wrap=True)

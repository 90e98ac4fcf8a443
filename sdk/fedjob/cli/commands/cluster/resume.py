"""`fedjob resume`: a suspended run continues."""

from __future__ import annotations

import typer

from fedjob.cli.cluster_options import JobOrFolder, on_cluster, run_handle
from fedjob.cli.display.console import errors_as_json, output_console, print_json
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("resume", epilog="Example: fedjob resume digits")(on_cluster(resume))


def resume(
    name: JobOrFolder,
    *,
    target: Target,
    json: Json = False,
) -> None:
    """Continue a suspended run after its last committed round."""
    with errors_as_json(json):
        run = run_handle(name, target)
        run.resume()
    if json:
        print_json({"name": run.name, "namespace": run.namespace, "suspended": False})
        return
    text = f"{run.namespace}/{run.name} resumed; `fedjob watch {run.name}` shows it"
    output_console().print(text, markup=False, soft_wrap=True)

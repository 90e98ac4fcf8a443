"""`fedjob report`: the report of a run, in a folder or in a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedjob.cli.cluster_options import JobOrFolder, on_cluster, run_handle
from fedjob.cli.display.console import error_console, errors_as_json, output_console, print_json
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", epilog="Example: fedjob report fedjob-out/digits")(on_cluster(report))


def report(
    name: JobOrFolder,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to write. \\[default: report.html in DIR, NAME-report.html here]",
        ),
    ] = None,
    target: Target,
    json: Json = False,
) -> None:
    """Write report.html from the committed rounds, and print its path.

    Of a run on this machine it works during the run, after it, and after it was stopped; of a run
    in a cluster, once it is complete.
    """
    with errors_as_json(json):
        run = run_handle(name, target)
        with error_console().status("reading the committed rounds"):
            written = run.report(out)
    if json:
        print_json({"report": str(written.path), "rounds": written.rounds})
    else:
        output_console().print(str(written.path), markup=False, soft_wrap=True)

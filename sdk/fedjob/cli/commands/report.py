"""`fedjob report`: the report of a run in a folder, also of one that has not ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedjob.cli.display.console import error_console, error_json, output_console, print_json
from fedjob.cli.options import Json
from fedjob.engines.local.run_folder import RunFolder
from fedjob.errors import FedjobError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", epilog="Example: fedjob report fedjob-out/digits")(report)


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a `fedjob run` (its --out).")
    ],
    json: Json = False,
) -> None:
    """Write report.html from the committed rounds, and print its path.

    Works during the run, after it, and after it was stopped.
    """
    from fedjob.engines.base import RunHandle
    from fedjob.engines.local.handle import LocalHandle

    try:
        run: RunHandle = LocalHandle(RunFolder.at(folder))
        with error_console().status("reading the committed rounds"):
            written = run.report()
    except FedjobError as error:
        if json:
            print_json(error_json(error))
        raise
    if json:
        print_json({"report": str(written.path), "rounds": written.rounds})
    else:
        output_console().print(str(written.path), markup=False, soft_wrap=True)

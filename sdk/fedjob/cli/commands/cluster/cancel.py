"""`fedjob cancel`: a run ends, and its resource goes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fedjob.cli.cluster_options import JobOrFolder, on_cluster, run_handle
from fedjob.cli.display.console import error_console, errors_as_json, output_console, print_json
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target
from fedjob.errors import EXIT_INVALID


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cancel", epilog="Example: fedjob cancel digits --yes")(on_cluster(cancel))


def cancel(
    name: JobOrFolder,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    target: Target,
    json: Json = False,
) -> None:
    """End a run for good: the job and its pods are deleted; what is in the store stays.

    `fedjob suspend` stops a run that is to continue later.
    """
    with errors_as_json(json):
        run = run_handle(name, target)
        status = run.status()
        if (
            not yes
            and status is not None
            and not _confirmed(f"Delete {run.namespace}/{run.name} ({status.summary})?")
        ):
            error_console().print("nothing was deleted; give --yes to delete without a question")
            raise typer.Exit(EXIT_INVALID)
        run.cancel()
    if json:
        print_json({"name": run.name, "namespace": run.namespace, "deleted": True})
        return
    text = f"{run.namespace}/{run.name} deleted"
    output_console().print(text, markup=False, soft_wrap=True)


def _confirmed(question: str) -> bool:
    """Whether a person agrees; without a terminal there is nobody to ask."""
    return sys.stdin.isatty() and typer.confirm(question, err=True)

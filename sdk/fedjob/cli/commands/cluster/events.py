"""`fedjob events`: what happened to a run."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from fedjob.cli.cluster_options import JobOrFolder, on_cluster, run_handle
from fedjob.cli.display.console import error_console, errors_as_json, print_json, table_console
from fedjob.cli.display.jobs_table import events_table
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("events", epilog="Example: fedjob events digits")(on_cluster(events))


def events(
    name: JobOrFolder,
    *,
    target: Target,
    json: Json = False,
) -> None:
    """Show what happened to a run and its pods, the oldest first.

    Where Events may not be read, the job's conditions are shown in their place.
    """
    with errors_as_json(json):
        found = run_handle(name, target).events()
    if json:
        print_json({"events": [event.model_dump(mode="json", by_alias=True) for event in found]})
    elif found:
        table_console().print(events_table(found, datetime.now(UTC)))
    else:
        error_console().print("no events; the cluster keeps them for an hour")

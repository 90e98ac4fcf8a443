"""`fedjob get`: one job, in detail."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from fedjob.cli.cluster_options import JobOrFolder, on_cluster, run_handle
from fedjob.cli.display.console import errors_as_json, output_console, print_json
from fedjob.cli.display.job_screen import job_screen
from fedjob.cli.display.screen import rounds_table
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target
from fedjob.errors import Fault, InvalidInputError

_ALL = 10_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("get", epilog="Example: fedjob get digits")(on_cluster(get))


def get(
    name: JobOrFolder,
    *,
    target: Target,
    json: Json = False,
) -> None:
    """Show one job: state, rounds, clients with their last heartbeat, metrics, events."""
    with errors_as_json(json):
        run = run_handle(name, target)
        status = run.status()
        if status is None:
            fix = "`fedjob list` shows the jobs of the namespace, `fedjob list -A` those of all"
            where = f"no such job in namespace {run.namespace}"
            raise InvalidInputError([Fault(name, where, fix)])
        if json:
            print_json(status.model_dump(mode="json", by_alias=True))
            return
        events = run.events()
    console = output_console()
    console.print(job_screen(status, events, datetime.now(UTC), most_clients=_ALL))
    if status.history:
        console.print(rounds_table(status.history))

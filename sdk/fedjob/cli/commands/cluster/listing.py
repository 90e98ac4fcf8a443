"""`fedjob list`: the jobs of a namespace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from fedjob.cli.cluster_options import jobs_api, on_cluster
from fedjob.cli.display.console import error_console, errors_as_json, print_json, table_console
from fedjob.cli.display.jobs_table import JobLine, jobs_table
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target
from fedjob.engines.kubernetes.run_values import status_of
from fedjob.formats import rfc3339


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list", epilog="Example: fedjob list -A")(on_cluster(list_jobs))


def list_jobs(
    *,
    everywhere: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="The jobs of every namespace.")
    ] = False,
    target: Target,
    json: Json = False,
) -> None:
    """List the jobs, with rounds, clients, metric and the time left."""
    with errors_as_json(json):
        jobs = jobs_api(target)
        found = jobs.all(everywhere=everywhere)
    lines = [JobLine(status_of(job), datetime.fromtimestamp(job.created, UTC)) for job in found]
    if json:
        shown = [
            {**line.status.model_dump(mode="json", by_alias=True),
             "created": rfc3339(line.created.timestamp())}
            for line in lines
        ]  # fmt: skip
        print_json({"jobs": shown})
    elif lines:
        console = table_console()
        now = datetime.now(UTC)
        console.print(jobs_table(lines, now, namespaces=everywhere, width=console.width))
    else:
        where = "any namespace" if everywhere else f"namespace {jobs.namespace}"
        error_console().print(f"no FederatedJobs in {where}", markup=False, soft_wrap=True)

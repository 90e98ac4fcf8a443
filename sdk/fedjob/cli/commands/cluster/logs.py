"""`fedjob logs`: what the server or a worker has printed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fedjob.cli.cluster_options import JobOrFolder, on_cluster, run_handle
from fedjob.cli.interruption import Interrupted
from fedjob.engines.kubernetes.access import Target
from fedjob.errors import EXIT_INTERRUPTED, Fault, InvalidInputError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("logs", epilog="Example: fedjob logs digits --worker 1 --round 3")(on_cluster(logs))


def logs(
    name: JobOrFolder,
    *,
    server: Annotated[
        bool, typer.Option("--server", help="The server's log; the default.")
    ] = False,
    worker: Annotated[
        int | None, typer.Option("--worker", metavar="I", min=0, help="The log of worker I.")
    ] = None,
    round_: Annotated[
        int | None,
        typer.Option("--round", metavar="N", min=1, help="Only the lines of round N."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for new lines, until the run ends.")
    ] = False,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="The start before the last one.")
    ] = False,
    target: Target,
) -> None:
    """Print a log: from the pod, or from the store when the pod is gone or may not be read."""
    chosen = [
        ("--follow", follow), ("--round", round_ is not None), ("--previous", previous),
    ]  # fmt: skip
    given = [option for option, is_given in chosen if is_given]
    if server and worker is not None:
        fix = "give one of them"
        raise InvalidInputError([Fault("--server, --worker", "are two logs", fix)])
    if len(given) > 1:
        fix = "give one of them"
        raise InvalidInputError([Fault(", ".join(given), "do not go together", fix)])
    site = "server" if worker is None else f"worker-{worker}"
    run = run_handle(name, target)
    try:
        for line in run.logs(site, follow=follow, round=round_, previous=previous):
            sys.stdout.write(f"{line}\n")
            if follow:
                sys.stdout.flush()
    except Interrupted:
        raise typer.Exit(EXIT_INTERRUPTED) from None

"""`fedjob watch`: a run as it happens."""

from __future__ import annotations

import typer

from fedjob.cli.cluster_options import JobOrFolder, on_cluster, run_handle
from fedjob.cli.commands.cluster.submit import detached, ended, exit_code
from fedjob.cli.display.console import errors_as_json, output_console, print_json
from fedjob.cli.display.follow_view import follow_view
from fedjob.cli.following import follow_run
from fedjob.cli.interruption import Interrupted
from fedjob.cli.options import Json
from fedjob.engines.kubernetes.access import Target
from fedjob.engines.kubernetes.handle import KubernetesHandle
from fedjob.errors import EXIT_INTERRUPTED


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("watch", epilog="Example: fedjob watch digits")(on_cluster(watch))


def watch(
    name: JobOrFolder,
    *,
    target: Target,
    json: Json = False,
) -> None:
    """Show a run until it ends: rounds, clients, metrics, events; survives broken connections.

    Without a terminal it prints one line a change; with --json, the last status when it has ended.
    Ctrl-C detaches; the run is not stopped. Exits with 0 when the run is complete, 1 when it
    failed, 3 when it was suspended or deleted.
    """
    run = None
    try:
        with errors_as_json(json):
            run = run_handle(name, target)
            if json:
                last = None
                for status in run.follow():
                    last = status
                if last is not None:
                    print_json(last.model_dump(mode="json", by_alias=True))
            else:
                with follow_view(output_console()) as view:
                    last = follow_run(run, view)
                ended(name, last)
    except Interrupted:
        if isinstance(run, KubernetesHandle):
            detached(run)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    raise typer.Exit(exit_code(last))

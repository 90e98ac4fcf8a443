"""The command `fedjob`: its subcommands, and its handling of errors."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

import typer
from typer._completion_classes import completion_init

from fedjob.cli.commands import build, completion, crd, report, run, upload, validate, version
from fedjob.cli.commands.cluster import (
    cancel,
    doctor,
    events,
    get,
    listing,
    logs,
    prune,
    result,
    submit,
    suspend,
    watch,
)
from fedjob.cli.display.console import error_console, show_error
from fedjob.cli.interruption import Interrupted, interrupt
from fedjob.errors import EXIT_INTERRUPTED, FedjobError

app = typer.Typer(
    name="fedjob",
    help="Federated learning on Kubernetes as one resource; the same file runs on a laptop.",
    epilog="Exit codes: 0 done, 1 the run failed, 2 the input is wrong, 3 something is out of "
    "reach, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
for _command in (run, validate, build, upload):
    _command.register(app)
for _command in (submit, listing, get, watch, logs, result, suspend, cancel, events):
    _command.register(app)
for _command in (report, prune, doctor, crd, completion, version):
    _command.register(app)


def main() -> None:
    """The entry point: never shows a traceback for an error that fedjob raised on purpose."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    # A path with an umlaut must not end a finished run where the output is ASCII or Latin-1.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # kubectl starts its plugins by the name kubectl-fedjob; help shows what a person types.
    if Path(sys.argv[0]).name == "kubectl-fedjob":
        sys.argv[0] = "kubectl fedjob"
    if "_FEDJOB_COMPLETE" in os.environ:  # set by the script of `fedjob completion`
        completion_init()
    try:
        app()
    except FedjobError as error:
        if os.environ.get("FEDJOB_DEBUG") == "1":
            raise
        show_error(error)
        sys.exit(error.exit_code)
    except Interrupted:
        error_console().print("interrupted", style="yellow")
        sys.exit(EXIT_INTERRUPTED)

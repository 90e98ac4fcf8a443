"""Errors for a person and for a script."""

import io

import pytest

from rich.console import Console

from fedjob.cli.display.console import error_json, show_error

from fedjob.cli.display.metrics import in_order, number, sparkline

from fedjob.cli.display.progress import LineProgress, LiveProgress, progress_for

from fedjob.cli.display.run_view import RunView

from fedjob.cli.display.screen import rounds_table, screen

from fedjob.engines.local.interruption import InterruptedRunError

from fedjob.engines.local.observer import Step

from fedjob.engines.local.results.result import RoundLine

from fedjob.errors import Fault, FedjobError, InvalidInputError, UnavailableError

from fedjob.protocol.commit import Commit, Participant, RoundTimes

from fedjob.protocol.server_status import ClientState, ClientView, RunEvent, RunPhase, ServerStatus

def error_text(error):
    console = Console(file=io.StringIO(), width=60, color_system=None)
    show_error(error, console)
    return console.file.getvalue()

def test_errors_show_object_problem_and_fix():
    faults = [Fault("spec.a", "is [0]", "write [1]"), Fault("b.zip", "is bad", "zip it again")]
    text = error_text(InvalidInputError(faults))
    assert text.splitlines() == [
        "error: 2 faults",
        "  spec.a",
        "    is [0]",
        "    fix: write [1]",
        "  b.zip",
        "    is bad",
        "    fix: zip it again",
    ]
    assert error_text(InterruptedRunError("stopped")) == "stopped\n"
    assert error_text(UnavailableError("the store is gone; start it")) == (
        "error: the store is gone; start it\n"
    )

def test_errors_for_scripts():
    assert error_json(InvalidInputError([Fault("a", "b", "c")])) == {
        "error": "a: b; c",
        "exitCode": 2,
        "faults": [{"field": "a", "problem": "b", "fix": "c"}],
    }
    assert error_json(FedjobError("x"))["faults"] == []


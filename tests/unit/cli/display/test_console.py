"""Errors for a person and for a script."""

import io
import json

import pytest
from rich.console import Console

from fedjob.cli.display.console import error_json, errors_as_json, show_error
from fedjob.engines.local.interruption import InterruptedRunError
from fedjob.errors import Fault, FedjobError, InvalidInputError, UnavailableError


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
        "reason": "SpecInvalid",
        "exitCode": 2,
        "faults": [{"field": "a", "problem": "b", "fix": "c"}],
    }
    assert error_json(FedjobError("x"))["faults"] == []


def test_error_of_a_block_is_printed_for_scripts_and_raised(capsys):
    with pytest.raises(UnavailableError), errors_as_json(True):
        raise UnavailableError("gone")
    found = json.loads(capsys.readouterr().out)
    assert (found["error"], found["exitCode"], found["faults"]) == ("gone", 3, [])
    with pytest.raises(UnavailableError), errors_as_json(False):
        raise UnavailableError("gone")
    assert capsys.readouterr().out == ""

"""Metrics as text."""

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

@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([None, float("nan")], ""),
        ([1, 2, 3], "▁▅█"),
        ([2, 2], "▄▄"),
        ([0, None, 1], "▁ █"),
        (list(range(100)), "▁▁▂▂▂▂▃▃▃▃▄▄▅▅▅▆▆▆▆▇▇▇██"),
    ],
)
def test_sparkline(values, line):
    assert len(sparkline(values)) == len(line)
    if len(values) < 10:
        assert sparkline(values) == line
    elif line:
        assert sparkline(values)[0] == "▁"
        assert sparkline(values)[-1] == "█"

def test_numbers():
    assert [number(v) for v in (0.123456, None, float("inf"), 12345.6)] == [
        "0.1235",
        "-",
        "-",
        "1.235e+04",
    ]

def test_known_metrics_come_first():
    assert in_order({"zeta", "loss", "alpha", "val_accuracy"}) == [
        "val_accuracy",
        "loss",
        "alpha",
        "zeta",
    ]
    assert in_order({"b", "a", "loss"}, 2) == ["loss", "a"]


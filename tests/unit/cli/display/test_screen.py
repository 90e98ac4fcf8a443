"""The live display, drawn to text."""

import io

import pytest
from rich.console import Console

from fedjob.cli.display.run_view import RunView
from fedjob.cli.display.screen import rounds_table, screen
from fedjob.engines.local.observer import Step
from fedjob.engines.result import RoundLine
from fedjob.protocol.server_status import ClientState, RunPhase, ServerStatus
from support.run_samples import client, commit


def drawn(renderable, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def test_screen_shows_phases_rounds_clients_and_metrics():
    view = RunView("digits", 5)
    view.started = {Step.PREPARE: 0.0, Step.UPLOAD: 1.0, Step.START: 3.0, Step.TRAIN: 10.0}
    view.restarts = {"worker-1": 2}
    view.notes = [("worker-1 ended with signal 9\nmore", True)]
    status = ServerStatus(
        attempt=1,
        phase=RunPhase.TRAINING,
        completed=3,
        total=5,
        clients=[
            client(0, ClientState.ANSWERED, samples=1700),
            client(1, ClientState.LOST, message="its connection is gone"),
        ],
        history=[commit(n, val_accuracy=0.5 + n / 10, loss=1.0 / (n + 1)) for n in range(4)],
    )
    view.take(status, now=18.0)
    text = drawn(screen(view, now=19.0))
    for text_part in (
        "✓ prepare 1.00 s",
        "✓ start 7.00 s",
        "● train 9.00 s",
        "○ finish",
        "ROUND 3/5",
        "ETA 3.00 s",
        "1,700",
        "digits-1.zip",
        "Lost",
        "its connection is gone",
        "val_accuracy",
        "0.8",
        "▁",
        "worker-1 ended with signal 9",
    ):
        assert text_part in text, text_part
    assert "more" not in text, "a note is one line"
    row = next(line for line in text.splitlines() if "worker-1 " in line and "Lost" in line)
    assert " 2 " in row, "restarts"


def test_screen_of_many_clients_keeps_those_in_trouble():
    view = RunView("big", 2)
    view.started = {Step.TRAIN: 0.0}
    clients = [client(i) for i in range(40)] + [client(40, ClientState.FAILED, message="NaN")]
    view.take(ServerStatus(total=2, clients=clients), now=0.0)
    text = drawn(screen(view, now=1.0))
    assert "worker-40" in text
    assert "and 29 more" in text


def test_screen_before_anything_is_known_and_while_it_uploads():
    view = RunView("digits", 5)
    assert "○ prepare" in drawn(screen(view, now=0.0))
    view.started = {Step.UPLOAD: 0.0}
    view.uploaded = (1024, 2048)
    assert "UPLOAD 1.02 KB / 2.05 KB" in drawn(screen(view, now=1.0))


@pytest.mark.parametrize("width", [20, 40, 60, 200])
def test_screen_fits_every_width(width):
    view = RunView("a-job-with-a-rather-long-name", 5)
    view.started = {Step.PREPARE: 0.0, Step.TRAIN: 1.0}
    view.notes = [("a rather long note " * 10, False)]
    view.take(ServerStatus(total=5, clients=[client(0, message="long " * 50)]), now=1.0)
    assert max(map(len, drawn(screen(view, now=2.0), width).splitlines())) <= width


def test_the_table_of_rounds():
    lines = [
        RoundLine(
            round=1, clients=3, samples=1447, metrics={"loss": 0.5, "x": None}, seconds=1.234
        ),
        RoundLine(round=2, clients=2, samples=9, metrics={"val_accuracy": 0.97}, seconds=2),
    ]
    header, first, second = drawn(rounds_table(lines)).splitlines()
    assert header.split() == ["ROUND", "CLIENTS", "SAMPLES", "VAL_ACCURACY", "LOSS", "X", "SECONDS"]
    assert first.split() == ["1", "3", "1,447", "-", "0.5", "-", "1.23"]
    assert second.split() == ["2", "2", "9", "0.97", "-", "-", "2.00"]

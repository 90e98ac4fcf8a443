"""A run shown as lines, and as a live display."""

import io

from rich.console import Console

from fedjob.cli.display.progress import LineProgress, LiveProgress, progress_for
from fedjob.engines.local.observer import Step
from fedjob.protocol.server_status import ClientState, RunEvent, ServerStatus
from support.run_samples import client, commit


def lines_of(calls):
    console = Console(file=io.StringIO(), force_terminal=False, width=40)
    with LineProgress(console, "digits", 3) as progress:
        calls(progress)
    return console.file.getvalue()


def test_plain_lines_one_an_event_and_none_twice():
    event = RunEvent(time=1.0, reason="Recovering", message="the connection to worker-1 is gone")
    first = ServerStatus(
        attempt=4, total=3, clients=[client(0, ClientState.CONNECTED)], history=[commit(0, 4)]
    )
    second = first.model_copy(
        update={
            "completed": 1,
            "events": [event],
            "clients": [client(0, ClientState.TRAINING)],
            "history": [commit(0, 4), commit(1, 4, loss=0.25, val_accuracy=0.9)],
        }
    )
    third = second.model_copy(update={"clients": [client(0, ClientState.LOST, message="gone")]})

    def calls(progress):
        progress.step(Step.START)
        for status in (first, second, second, third):
            progress.status(status)
        progress.restarted("worker-0", 1)
        progress.note("beware", warning=True)

    text = lines_of(calls)
    assert "\x1b" not in text
    assert "\r" not in text
    lines = [line.split("] ", 1)[1] for line in text.splitlines()]
    assert lines == [
        "start",
        "worker-0: Connected",
        "initial model committed",
        "Recovering: the connection to worker-1 is gone",
        "round 1/3: 2 clients, 745 samples, val_accuracy 0.9, loss 0.25, 2.00 s",
        "worker-0: Lost: gone",
        "worker-0 was started again (restart 1)",
        "warning: beware",
    ]


def test_uploads_are_reported_by_tenths():
    def calls(progress):
        for done in range(0, 1001):
            progress.uploaded(done, 1000)
        progress.uploaded(0, 0)

    assert lines_of(calls).count("uploaded") == 11


def test_the_display_fits_the_console():
    assert isinstance(progress_for(Console(file=io.StringIO()), "x", 1), LineProgress)
    terminal = Console(file=io.StringIO(), force_terminal=True)
    assert isinstance(progress_for(terminal, "x", 1), LiveProgress)


def test_live_display_leaves_the_last_picture():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with LiveProgress(console, "digits", 3) as progress:
        progress.step(Step.TRAIN)
        progress.note("[bold]worker-0[/bold] ended", warning=True)
        progress.restarted("worker-0", 2)
        progress.uploaded(1, 2)
        progress.status(ServerStatus(attempt=1, completed=2, total=3, clients=[client(0)]))
    text = console.file.getvalue()
    assert "ROUND 2/3" in text
    assert "[bold]worker-0[/bold] ended" in text, "a message is not markup"

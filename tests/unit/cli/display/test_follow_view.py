"""A run that is followed, on a terminal and elsewhere."""

import io
from datetime import UTC, datetime

from rich.console import Console

from fedjob.cli.display.follow_view import LineFollow, LiveFollow, follow_view, round_text
from fedjob.engines.result import RoundLine
from fedjob.engines.run_status import ClientInfo, RunEvent, RunStatus


def line(number):
    return RoundLine(round=number, clients=1, samples=1447, metrics={"loss": 0.5}, seconds=0.8)


def status(state, **more):
    return RunStatus(name="digits", state=state, total=5, **more)


def test_each_change_is_one_line_and_none_comes_twice():
    console = Console(file=io.StringIO(), force_terminal=False, width=40)
    event = RunEvent(time=datetime(2026, 1, 1, tzinfo=UTC), reason="PodStarted", message="fine",
                     about="digits-server")  # fmt: skip
    joined = ClientInfo(name="worker-0", state="Connected")
    busy = ClientInfo(name="worker-0", state="Training")
    lost = ClientInfo(name="worker-0", state="Lost", message="its node\nis gone")
    with LineFollow(console, clock=iter(range(100)).__next__) as view:
        view.uploaded(5, 10)
        view.note("created")
        view.status(status("Starting", clients=[joined]), [event])
        view.status(status("Training", clients=[busy], history=[line(1)]), [event])
        view.status(status("Training", clients=[lost], history=[line(1), line(2)]), [event])
        view.status(status("Failed", reason="WorkerLost", message="too few"), [])
        view.note("beware", warning=True)
    text = console.file.getvalue()
    assert "\x1b" not in text
    assert [each.split("] ", 1)[1] for each in text.splitlines()] == [
        "uploaded 5 B of 10 B",
        "created",
        "PodStarted: digits-server: fine",
        "worker-0: Connected",
        "Starting",
        "round 1/5: 1 client, 1,447 samples, loss 0.5, 0.80 s",
        "Training",
        "worker-0: Lost: its node is gone",
        "round 2/5: 1 client, 1,447 samples, loss 0.5, 0.80 s",
        "Failed: WorkerLost: too few",
        "warning: beware",
    ]


def test_live_screen_shows_the_last_state_and_lost_connections():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    with LiveFollow(console) as view:
        assert "waiting for the job" in str(view._draw().renderables[0])
        view.uploaded(5, 10)
        assert "uploaded 5 B of 10 B" in str(view._draw().renderables[0])
        view.status(status("Training"), [])
        view.note("connection lost", warning=True)
        view.note("created")
    text = console.file.getvalue()
    assert "default/digits" in text
    assert "! connection lost" in text
    assert "created" in text


def test_display_fits_the_console():
    assert isinstance(follow_view(Console(force_terminal=True)), LiveFollow)
    assert isinstance(follow_view(Console(file=io.StringIO())), LineFollow)


def test_round_as_a_line():
    assert round_text(line(3), 5) == "round 3/5: 1 client, 1,447 samples, loss 0.5, 0.80 s"

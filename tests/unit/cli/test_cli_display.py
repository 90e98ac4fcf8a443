"""What a person sees of a run: drawn to text, on a terminal and without one."""

import io

import pytest
from rich.console import Console

from fedjob.cli.display.console import error_json, show_error
from fedjob.cli.display.metrics import duration, in_order, number, size, sparkline
from fedjob.cli.display.progress import LineProgress, LiveProgress, progress_for
from fedjob.cli.display.run_view import RunView
from fedjob.cli.display.screen import rounds_table, screen
from fedjob.engines.local.interruption import InterruptedRunError
from fedjob.engines.local.observer import Step
from fedjob.engines.local.results.result import RoundLine
from fedjob.errors import Fault, FedjobError, InvalidInputError, UnavailableError
from fedjob.protocol.commit import Commit, Participant, RoundTimes
from fedjob.protocol.server_status import ClientState, ClientView, RunEvent, RunPhase, ServerStatus


def commit(n, attempt=1, seconds=2.0, **metrics):
    who = [Participant(name="worker-0", samples=700), Participant(name="worker-1", samples=45)]
    return Commit(
        round=n,
        attempt=attempt,
        sha256="0" * 64,
        size=1,
        participants=who if n else [],
        metrics=metrics,
        times=RoundTimes(total=seconds),
        started="x",
        ended="x",
    )


def client(i, state=ClientState.TRAINING, **more):
    return ClientView(name=f"worker-{i}", shard=f"digits-{i}.zip", state=state, **more)


def drawn(renderable, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4s"), (-1, "0.0s"), (12.3, "12s"), (59.9, "60s"), (185, "3:05"), (3723, "1:02:03")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_numbers_and_sizes():
    assert [number(v) for v in (0.123456, None, float("inf"), 12345.6)] == [
        "0.1235",
        "-",
        "-",
        "1.235e+04",
    ]
    assert [size(n) for n in (512, 1536, 3 << 20, 5 << 40)] == [
        "512 B",
        "1.5 KiB",
        "3.0 MiB",
        "5120.0 GiB",
    ]


def test_known_metrics_come_first():
    assert in_order({"zeta", "loss", "alpha", "val_accuracy"}) == [
        "val_accuracy",
        "loss",
        "alpha",
        "zeta",
    ]
    assert in_order({"b", "a", "loss"}, 2) == ["loss", "a"]


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
    for words in (
        "✓ prepare 1.0s",
        "✓ start 7.0s",
        "● train 9.0s",
        "○ finish",
        "ROUND 3/5",
        "ETA 3.0s",
        "1,700",
        "digits-1.zip",
        "Lost",
        "its connection is gone",
        "val_accuracy",
        "0.8",
        "▁",
        "worker-1 ended with signal 9",
    ):
        assert words in text, words
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
    assert "UPLOAD 1.0 KiB / 2.0 KiB" in drawn(screen(view, now=1.0))


@pytest.mark.parametrize("width", [20, 40, 60, 200])
def test_screen_fits_every_width(width):
    view = RunView("a-job-with-a-rather-long-name", 5)
    view.started = {Step.PREPARE: 0.0, Step.TRAIN: 1.0}
    view.notes = [("a rather long note " * 10, False)]
    view.take(ServerStatus(total=5, clients=[client(0, message="long " * 50)]), now=1.0)
    assert max(map(len, drawn(screen(view, now=2.0), width).splitlines())) <= width


def test_eta_is_the_mean_of_the_last_rounds_for_those_left():
    view = RunView("x", 10)
    assert view.eta(0.0) is None
    view.take(ServerStatus(completed=0, total=10, history=[commit(0, seconds=99.0)]), now=0.0)
    assert view.eta(0.0) is None, "the initial model is no round"
    seconds = [50.0, 1.0, 2.0, 3.0, 2.0, 2.0]
    history = [commit(n + 1, seconds=s) for n, s in enumerate(seconds)]
    view.take(ServerStatus(completed=6, total=10, history=history), now=10.0)
    assert view.eta(10.0) == pytest.approx(8.0)
    assert view.eta(11.0) == pytest.approx(7.0)
    assert view.eta(1000.0) == pytest.approx(6.0), "a round that takes long is not the last"


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


def test_rounds_of_an_earlier_run_are_no_news_but_count():
    status = ServerStatus(attempt=2, completed=2, total=3, history=[commit(1, 1), commit(2, 1)])
    view = RunView("x", 3)
    assert view.take(status, 0.0) == []
    assert view.series("loss") == [None, None]
    after_crash = ServerStatus(attempt=3, completed=3, total=3, history=[commit(3, 2)])
    assert [c.round for c in view.take(after_crash, 0.0)] == [3], "of a crashed server of this run"


def test_uploads_are_told_by_tenths():
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
    assert "[bold]worker-0[/bold] ended" in text, "a message is no markup"


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

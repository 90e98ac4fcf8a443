"""Jobs and events as tables of 80 columns."""

import io
from datetime import UTC, datetime, timedelta

from rich.console import Console

from fedjob.cli.display.jobs_table import JobLine, events_table, jobs_table
from fedjob.engines.run_status import RunEvent, RunStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOLDEN = [
    "NAME                   STATE      ROUND   CLIENTS   METRIC           ETA   AGE",
    "digits                 Training   2/5     3/3       val_accuracy …   80s   3m20s",
    "a-much-longer-name-…   Pending    0/5     3/3       -                -     3m20s",
]


def shown(table, width=80):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def job(name="digits", **more):
    status = RunStatus(
        name=name, namespace="team", **{
            "state": "Training", "completed": 2, "total": 5, "connected": 3, "expected": 3,
            "metrics": {"val_accuracy": 0.95432}, "eta": NOW + timedelta(seconds=80), **more,
        },
    )  # fmt: skip
    return JobLine(status, NOW - timedelta(seconds=200))


def test_jobs_in_80_columns():
    lines = [
        job(),
        job("a-much-longer-name-than-fits", state="Pending", completed=0, metrics={}, eta=None),
    ]
    assert shown(jobs_table(lines, NOW, width=80)) == GOLDEN
    assert len(shown(jobs_table(lines, NOW, width=80))[0]) <= 80


def test_namespaces_come_first_when_asked_for():
    head, line = shown(jobs_table([job()], NOW, namespaces=True), 200)
    assert head.split()[:2] == ["NAMESPACE", "NAME"]
    assert line.split()[:2] == ["team", "digits"]


def test_wide_terminal_shows_everything():
    line = shown(jobs_table([job("n" * 40)], NOW), 200)[1]
    assert line == (f"{'n' * 40}   Training   2/5     3/3       val_accuracy 0.9543   80s   3m20s")


def test_events_are_folded_at_80_columns():
    event = RunEvent(
        time=NOW - timedelta(seconds=9), type="Warning", reason="WorkerLost", count=3,
        message="worker-1 is gone; the run continues with two of the three workers for now",
        about="digits-worker-1",
    )  # fmt: skip
    assert shown(events_table([event], NOW)) == [
        "AGE       TYPE      REASON       ABOUT             MESSAGE",
        "9s (x3)   Warning   WorkerLost   digits-worker-1   worker-1 is gone; the run",
        "                                                   continues with two of the",
        "                                                   three workers for now",
    ]

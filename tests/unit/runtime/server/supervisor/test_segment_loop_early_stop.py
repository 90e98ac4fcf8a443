"""A run that stops early: which rounds are committed, whatever is lost meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedjob.protocol.server_status import RunPhase
from support.supervised_run import FakeJob, SupervisedRun, trains

PATIENCE = {"stopWhen": {"metric": "m", "mode": "min", "patience": 2}}
VALUES = {number: {"m": value} for number, value in enumerate([0.9, 0.5, 0.3, 0.6, 0.7, 0.1], 1)}


def test_run_stops_early_and_publishes_the_last_round(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path, rounds=9, federation=PATIENCE, metrics=VALUES)
    assert run.run()
    assert run.log.commits() == [0, 1, 2, 3, 4, 5]
    assert (run.status.phase, run.status.completed) == (RunPhase.COMPLETE, 5)
    assert run.log.published["model.safetensors"] == b"model of round 5"
    assert run.log.published["GLOBAL_MODEL.pt"] == b"exported model of round 5"
    assert b"stopped early" in run.log.published["report.html"]
    assert run.events("StoppedEarly") == ["federation.stopWhen is met after round 5"]
    standing = run.log.kept[5].standing
    assert standing is not None
    assert standing.best is not None
    assert (standing.best.round, standing.best.sha256) == (3, run.log.kept[3].sha256)


def test_round_under_way_at_an_early_stop_is_aborted(tmp_path: Path) -> None:
    def eager(run: SupervisedRun, job: FakeJob) -> None:
        """Offers the next round before the one before is committed, as the job process may."""
        trains(run, job)
        if job.number == 5 and run.handover.offered_round(6) is None:
            job.number = 6
            run.offer(job)
            job.memory["over"] = True

    run = SupervisedRun(tmp_path, rounds=9, federation=PATIENCE, metrics=VALUES)
    run.acts = [eager]
    assert run.run()
    assert run.log.commits() == [0, 1, 2, 3, 4, 5]
    assert [call for call in run.parent.calls if call.startswith("abort")] == [
        f"abort {run.jobs[0].id}"
    ]


@pytest.mark.parametrize("lost_after", [3, 4, 5])
def test_server_lost_after_the_best_round_stops_at_the_same_round(
    tmp_path: Path, lost_after: int
) -> None:
    (tmp_path / "first").mkdir()
    first = SupervisedRun(tmp_path / "first", rounds=9, federation=PATIENCE, metrics=VALUES)
    assert first.run()
    log = first.log
    for number in range(lost_after + 1, 6):
        del log.kept[number], log.models[number]
    log.published = {}
    run = SupervisedRun(tmp_path, rounds=9, log=log, federation=PATIENCE, metrics=VALUES)
    assert run.run()
    assert log.commits() == [0, 1, 2, 3, 4, 5]
    assert len(run.jobs) == (lost_after < 5)
    assert log.published["model.safetensors"] == b"model of round 5"
    standing = log.kept[5].standing
    assert standing is not None
    assert standing.best is not None
    assert (standing.best.round, standing.stopped) == (3, 9)


def test_raised_num_rounds_continues_a_run_that_stopped_early(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    first = SupervisedRun(tmp_path / "first", rounds=9, federation=PATIENCE, metrics=VALUES)
    assert first.run()
    run = SupervisedRun(tmp_path, rounds=10, log=first.log, federation=PATIENCE, metrics=VALUES)
    assert run.run()
    # Round 6 is the best now, and no later one has the metric.
    assert run.log.commits() == list(range(9))
    assert run.jobs[0].start_round == 5
    standing = run.log.kept[8].standing
    assert standing is not None
    assert standing.best is not None
    assert (standing.best.round, standing.stopped) == (6, 10)


def test_metric_that_no_round_has_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    run = SupervisedRun(
        tmp_path, federation=PATIENCE, metrics={1: {"val_loss": 1.0, "accuracy": 0.5}}
    )
    assert run.run()
    [message] = run.events("MetricMissing")
    assert "no finite m, by which rounds are compared; it has accuracy, val_loss" in message

"""A server start from claim to publication, SIGTERM and the release of workers, with fakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedjob.errors import FedjobError
from fedjob.protocol.server_status import RunPhase
from fedjob.reasons import Reason
from fedjob_runtime.server.clock import Stopped
from fedjob_runtime.server.orders import ParentError
from support.supervised_run import (
    FakeLog,
    SupervisedRun,
)

TIMEOUT = {"reason": str(Reason.TRAINING_TIMEOUT), "message": "worker-1 did not answer"}


# The whole run.


def test_run_without_faults_is_one_segment_and_is_published(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    assert run.run()
    assert run.log.commits() == [0, 1, 2]
    assert [job.start_round for job in run.jobs] == [-1]
    assert run.log.published["model.safetensors"] == b"model of round 2"
    assert run.log.published["GLOBAL_MODEL.pt"] == b"torch"
    assert b"<html" in run.log.published["report.html"]
    status = run.status
    assert (status.phase, status.completed, status.segments) == (RunPhase.COMPLETE, 2, 1)
    assert status.result_key == "jobs/default/job/model_out/model.safetensors"
    assert status.result_sha256 == run.log.kept[2].sha256
    assert [commit.round for commit in status.history] == [1, 2]
    assert status.retries == {}
    kept = json.loads((tmp_path / "home/status.json").read_text())
    assert kept["phase"] == "Complete"
    assert run.parent.calls[0] == "start"


def test_next_server_start_resumes_after_the_last_commit(tmp_path: Path) -> None:
    log = FakeLog()
    for number in range(3):
        log.put(number)
    log.attempts = 1
    run = SupervisedRun(tmp_path, rounds=4, log=log)
    assert run.run()
    assert run.status.attempt == 2
    assert [(job.start_round, job.segment) for job in run.jobs] == [(2, 200_001)]
    assert run.events("Resumed") == ["resumes after round 2"]
    assert log.commits() == [0, 1, 2, 3, 4]


def test_start_after_the_last_round_only_publishes(tmp_path: Path) -> None:
    log = FakeLog()
    for number in range(3):
        log.put(number)
    run = SupervisedRun(tmp_path, log=log)
    assert run.run()
    assert run.jobs == []
    assert run.parent.calls == ["export 2"]
    assert run.log.published["GLOBAL_MODEL.pt"] == b"exported model of round 2"


def test_server_without_its_agent_leaves_the_run_to_the_next_start(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    run.parent.unreachable = 1
    with pytest.raises(ParentError, match="no agent of NVFlare's server answers"):
        run.run()
    assert run.committer is not None
    assert not run.committer.started, "what an earlier start left must not be committed"
    assert run.jobs == []


def test_gap_in_the_log_is_named_and_nothing_starts(tmp_path: Path) -> None:
    log = FakeLog()
    for number in (0, 2):
        log.put(number)
    run = SupervisedRun(tmp_path, log=log)
    with pytest.raises(FedjobError, match=r"has a gap: \[0, 2\]") as caught:
        run.run()
    assert caught.value.reason is Reason.ROUND_LOG_CORRUPT
    assert run.parent.calls == []


# SIGTERM.


@pytest.mark.parametrize("while_", ["waiting", "training"])
def test_sigterm_drains_and_leaves_the_run_to_the_next_start(tmp_path: Path, while_: str) -> None:
    run = SupervisedRun(tmp_path, rounds=9, min_clients=2)
    if while_ == "waiting":
        run.clients.pop("worker-1")
    run.at = [(5.5, lambda r: r.supervisor.stop())]
    with pytest.raises(Stopped):
        run.run()
    assert run.committer is not None
    assert run.committer.drained is not None
    done = run.log.commits()
    assert done == list(range(len(done)))
    assert len(done) < 10
    assert run.status.phase not in (RunPhase.COMPLETE, RunPhase.FAILED)
    assert not (tmp_path / "home/status.json").exists()


def test_sigterm_while_the_last_round_is_committed_still_publishes(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path, rounds=1)

    def stop(r: SupervisedRun) -> None:
        if r.handover.offered_round(1) is None:
            r.at.append((r.clock.now + 0.1, stop))
            return
        r.supervisor.stop()

    def hold(r: SupervisedRun) -> None:
        assert r.committer is not None
        r.committer.paused = True
        r.committer.drain = lambda _: (setattr(r.committer, "paused", False), r.committer.step())  # type: ignore[method-assign, union-attr, assignment, func-returns-value]

    run.at = [(1.5, hold), (1.6, stop)]
    assert run.run()
    assert run.status.phase == RunPhase.COMPLETE
    assert run.log.commits() == [0, 1]


# The end.


def test_workers_are_released_at_the_end(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    assert run.run()
    run.supervisor.release_workers()
    assert run.parent.calls[-2:] == ["shut down", "kill"]
    assert not run.parent.alive


def test_loop_that_does_not_turn_is_unhealthy(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    assert run.supervisor.healthy()
    run.clock.now += 121
    assert not run.supervisor.healthy()

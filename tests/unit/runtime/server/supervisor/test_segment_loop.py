"""Every branch of the segment loop, with fakes for NVFlare, job process, store and clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedjob.protocol.commit import ClientFailure
from fedjob.protocol.server_status import ClientState, RunPhase
from fedjob.reasons import Reason
from fedjob_runtime.server.orders import SegmentRefusedError
from fedjob_runtime.server.supervisor.failure_policy import MAX_TRIES
from fedjob_runtime.server.supervisor.segment_loop import MAX_FRUITLESS, START_GRACE
from fedjob_runtime.server.supervisor.segment_monitor import SCHEDULE_SECONDS
from support.supervised_run import (
    FakeJob,
    SupervisedRun,
    ends,
    starts,
    trains,
    vanishes,
)

TIMEOUT = {"reason": str(Reason.TRAINING_TIMEOUT), "message": "worker-1 did not answer"}


# Waiting for workers.


def test_first_segment_waits_for_all_workers_within_its_grace(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path, workers=3)
    late = run.clients.pop("worker-2")
    run.at = [(20, lambda r: r.clients.update({"worker-2": late}))]
    assert run.run()
    assert run.jobs[0].clients == ["worker-0", "worker-1", "worker-2"]
    assert 20 <= run.jobs[0].began < 21


def test_first_segment_starts_without_the_missing_after_its_grace(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path, workers=3, min_clients=2)
    run.clients.pop("worker-2")
    messages: set[str] = set()
    run.at = [(10, lambda r: messages.add(r.status.message))]
    assert run.run()
    assert run.jobs[0].clients == ["worker-0", "worker-1"]
    assert START_GRACE <= run.jobs[0].began < START_GRACE + 1
    [message] = messages
    assert message.startswith("waiting for worker-2 since 2027-01-15T08:00:00Z (2 of 3 connected")
    assert "the run continues without the missing at" in message


def test_below_min_clients_nothing_starts(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path, min_clients=2, deadline=900)
    back = run.clients.pop("worker-1")
    messages: list[str] = []
    run.at = [
        (500, lambda r: messages.append(r.status.message)),
        (600, lambda r: r.clients.update({"worker-1": back})),
    ]
    assert run.run()
    assert run.jobs[0].began >= 600
    assert "activeDeadlineSeconds (900)" in messages[0]


def test_parent_that_answers_no_connected_worker_is_restarted(tmp_path: Path) -> None:
    """Its event loop may stand still: workers connect, and none is registered."""
    run = SupervisedRun(tmp_path)
    all_of_them = dict(run.clients)
    run.clients.clear()
    run.parent.connections = 2
    run.at = [(200, lambda r: r.clients.update(all_of_them))]
    assert run.run()
    # After 60 s, and 120 s later.
    assert run.parent.calls.count("start") == 3
    assert run.status.retries == {"parent": 2}
    assert "connected to NVFlare's server for 6" in run.events("Recovering")[0]


def test_parent_without_connections_is_left_alone(tmp_path: Path) -> None:
    """The workers' pods may wait for nodes for an hour."""
    run = SupervisedRun(tmp_path)
    all_of_them = dict(run.clients)
    run.clients.clear()
    # One that comes and goes, such as a probe, does not mean a worker that waits.
    for second in range(100, 3600, 100):
        run.at += [
            (second, lambda r: setattr(r.parent, "connections", 1)),
            (second + 20, lambda r: setattr(r.parent, "connections", 0)),
        ]
    run.at.append((3600, lambda r: r.clients.update(all_of_them)))
    assert run.run()
    assert run.parent.calls.count("start") == 1
    assert run.status.retries == {}


def test_parent_that_dies_while_waiting_is_restarted(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path, min_clients=2)
    back = run.clients.pop("worker-1")
    run.at = [
        (5, lambda r: setattr(r.parent, "alive", False)),
        (9, lambda r: r.clients.update({"worker-1": back})),
    ]
    assert run.run()
    assert run.parent.calls.count("start") == 2
    assert run.status.retries == {"parent": 1}
    assert run.events("Recovering") == ["NVFlare's server process ended; restarting it"]


def test_segment_that_nvflare_refuses_is_submitted_to_a_fresh_parent(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    run.parent.refusals = 1
    assert run.run()
    assert run.status.retries["submit"] == 1
    assert run.parent.calls.count("kill") >= 1


def test_job_folder_that_nvflare_refuses_ends_the_run_at_once(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    run.parent.refused = SegmentRefusedError("NVFlare refuses this job: no deploy map; correct it")
    assert not run.run()
    assert run.status.reason == "FederationFailed"
    assert run.status.message == "NVFlare refuses this job: no deploy map; correct it"
    assert run.jobs == []
    assert "submit" not in run.status.retries


def test_parent_that_never_takes_a_segment_is_not_restarted_for_ever(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    run.parent.refusals = 1000
    assert not run.run()
    assert run.status.retries["submit"] == MAX_FRUITLESS
    assert run.status.message.endswith("The last error: NVFlare did not take the segment: busy")


# What supersedes a segment.


def superseding(run: SupervisedRun, what: str) -> None:
    if what == "worker lost":
        run.acts = [starts]
        run.at = [(5, lambda r: r.clients.pop("worker-1"))]
    elif what == "parent":
        run.acts = [starts]
        run.at = [(5, lambda r: setattr(r.parent, "alive", False))]
    elif what == "job":
        run.acts = [vanishes]
    elif what == "not scheduled":
        run.acts = [lambda *_: None]


@pytest.mark.parametrize(
    ("what", "retries"),
    [
        ("parent", {"parent": 2}),
        ("job", {"job": 1}),
    ],
)
def test_dead_process_is_superseded_by_the_next_segment(
    tmp_path: Path, what: str, retries: dict[str, int]
) -> None:
    run = SupervisedRun(tmp_path)
    superseding(run, what)
    assert run.run()
    assert run.status.retries == retries
    assert [job.start_round for job in run.jobs] == [-1, 0]
    assert run.events("SegmentStarted") == [
        "segment 2 resumes after round 0 with worker-0, worker-1"
    ]
    assert run.log.commits() == [0, 1, 2]


def test_segment_that_is_not_scheduled_is_superseded(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)

    def idle(r: SupervisedRun, job: FakeJob) -> None:
        r.parent.job = None

    run.acts = [idle]
    assert run.run()
    assert run.status.retries == {"not-scheduled": 1}
    assert run.jobs[1].began > SCHEDULE_SECONDS


def test_lost_worker_is_passed_on_and_its_return_starts_a_segment_after_the_round(
    tmp_path: Path,
) -> None:
    run = SupervisedRun(tmp_path, rounds=8)
    controls: list[tuple[str, ...]] = []

    def look(r: SupervisedRun) -> None:
        control = r.handover.read_control()
        assert control is not None
        controls.append(control.lost)

    run.at = [
        (3.5, lambda r: r.clients.pop("worker-1")),
        (4.0, look),
        (4.0, lambda r: controls.append(tuple(c.state for c in r.status.clients))),
        (4.2, lambda r: r.clients.update({"worker-1": "worker-1-b"})),
    ]
    assert run.run()
    assert controls == [("worker-1",), (ClientState.ANSWERED, ClientState.LOST)]
    assert len(run.jobs) == 2
    assert run.jobs[1].start_round > 1
    assert run.status.retries == {"worker": 1}
    assert run.events("WorkerReturned") == ["worker-1 registered again"]
    assert run.log.commits() == list(range(9))
    restarts = {client.name: client.restarts for client in run.status.clients}
    assert restarts == {"worker-0": 0, "worker-1": 1}


def test_worker_that_joins_before_training_restarts_the_segment_at_once(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    back = run.clients.pop("worker-1")
    run.acts = [lambda r, job: r.report(job, "started")]
    run.at = [(START_GRACE + 2, lambda r: r.clients.update({"worker-1": back}))]
    assert run.run()
    assert [job.clients for job in run.jobs] == [["worker-0"], ["worker-0", "worker-1"]]
    assert run.jobs[1].began < START_GRACE + 8


# Faults of workers.


def exits(*names: str) -> Any:
    """The training processes of these workers end in the first round."""

    def act(run: SupervisedRun, job: FakeJob) -> None:
        starts(run, job)
        run.gone = (
            set(names) if job.memory.get("begun") and run.clock.now - job.since > 2 else set()
        )

    return act


def test_exited_training_process_is_tried_again(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    run.acts = [exits("worker-1"), lambda r, job: (r.gone.clear(), trains(r, job))]  # type: ignore[func-returns-value]
    assert run.run()
    assert run.status.retries == {"job-process": 1}
    assert run.events("Recovering") == ["worker-1: its training process ended in round 1"]


def test_a_lost_connection_of_a_training_process_is_not_its_end(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    run.unreported = True
    run.acts = [exits("worker-1"), lambda r, job: (r.gone.clear(), trains(r, job))]  # type: ignore[func-returns-value]
    assert run.run()
    assert run.status.retries == {"connection": 1}
    assert run.events("Recovering") == ["worker-1: its training process was cut off in round 1"]


def test_training_process_that_keeps_exiting_leaves_its_worker_out(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)

    def survivors(r: SupervisedRun, job: FakeJob) -> None:
        r.gone.clear()
        trains(r, job)

    run.acts = [*[exits("worker-1")] * MAX_TRIES, survivors]
    assert run.run()
    assert [job.clients for job in run.jobs] == [["worker-0", "worker-1"]] * MAX_TRIES + [
        ["worker-0"],
        ["worker-0", "worker-1"],
    ][: len(run.jobs) - MAX_TRIES]
    assert run.status.retries == {"job-process": MAX_TRIES}


def test_training_processes_that_keep_exiting_fail_the_run_below_min_clients(
    tmp_path: Path,
) -> None:
    run = SupervisedRun(tmp_path, min_clients=2)
    run.acts = [exits("worker-1")] * MAX_TRIES
    assert not run.run()
    assert run.status.reason == Reason.WORKER_EXITED
    assert run.status.message.splitlines()[0] == (
        "round 1 cannot reach minClients 2: 1 of 2 workers failed it"
    )
    assert len(run.jobs) == MAX_TRIES


def test_round_below_min_clients_fails_the_run_with_the_workers_message(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path, min_clients=2)
    fault = {"reason": "NonFiniteWeights", "message": "worker-1: fc.weight has 2 NaN"}
    run.acts = [ends("short", failed={"worker-1": fault})]
    assert not run.run()
    assert run.status.reason == Reason.NON_FINITE_WEIGHTS
    assert "worker-1: fc.weight has 2 NaN" in run.status.message
    assert run.status.phase == RunPhase.FAILED


def test_round_below_min_clients_is_tried_again_without_the_worker_at_fault(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path, workers=3, min_clients=2)
    fault = {"reason": "TrainingFailed", "message": "worker-2: KeyError"}
    run.acts = [ends("short", failed={"worker-2": fault})]
    assert run.run()
    assert run.jobs[1].clients == ["worker-0", "worker-1"]
    assert run.events("RoundShort") == ["round 1 had too few results; it is tried again"]


def hangs(run: SupervisedRun, job: FakeJob) -> None:
    """A round that is committed without worker-1, which timed out."""
    starts(run, job)
    if job.memory.get("begun") and not job.memory.get("offered"):
        job.memory["offered"] = True
        run.offer(job, [ClientFailure(name="worker-1", **TIMEOUT)])
        run.report(job, "ended", outcome="hung", failed={"worker-1": TIMEOUT})


def test_timed_out_worker_gets_a_fresh_process_until_its_tries_are_used_up(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path, rounds=5)
    run.acts = [hangs] * MAX_TRIES
    assert run.run()
    assert [job.clients for job in run.jobs] == [["worker-0", "worker-1"]] * MAX_TRIES + [
        ["worker-0"]
    ]
    assert len(run.events("WorkerHung")) == MAX_TRIES
    assert run.log.commits() == list(range(6))


# Faults of the server's side.


def test_error_of_the_job_process_fails_the_run_at_once(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    run.acts = [ends("error", error={"reason": "ModelInvalid", "message": "Net is complex128"})]
    assert not run.run()
    assert (run.status.reason, run.status.message) == ("ModelInvalid", "Net is complex128")
    assert len(run.jobs) == 1
    assert run.status.retries == {}
    assert json.loads((tmp_path / "home/status.json").read_text())["reason"] == "ModelInvalid"


def test_error_that_may_pass_is_tried_again_and_shown(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    error = {"reason": "FederationFailed", "message": "ConnectionResetError: gone"}
    run.acts = [ends("broken", error=error)]
    assert run.run()
    assert run.status.retries == {"broken": 1}
    assert run.events("Recovering") == ["the segment ended early (ConnectionResetError: gone)"]


def test_errors_that_do_not_pass_fail_the_run_with_the_last_one(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    error = {"reason": "FederationFailed", "message": "ConnectionResetError: gone"}
    run.acts = [ends("broken", error=error)] * MAX_FRUITLESS
    assert not run.run()
    assert run.status.reason == Reason.FEDERATION_FAILED
    assert run.status.message.endswith("The last error: ConnectionResetError: gone")
    assert len(run.jobs) == MAX_FRUITLESS
    waits = [b.began - a.began for a, b in zip(run.jobs, run.jobs[1:], strict=False)]
    assert waits[0] < waits[3] < waits[-1] < 25, "the segments back off"


@pytest.mark.parametrize("why", ["job", "broken"])
def test_oom_killed_process_of_the_server_fails_the_run(tmp_path: Path, why: str) -> None:
    run = SupervisedRun(tmp_path)
    run.parent.memory_exceeded = True
    run.acts = [
        vanishes
        if why == "job"
        else ends("broken", error={"reason": "FederationFailed", "message": "y"})
    ]
    assert not run.run()
    assert run.status.reason == Reason.OUT_OF_MEMORY
    assert "spec.server.resources.limits.memory" in run.status.message


def test_fenced_server_stops(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path)
    run.acts = [starts]

    def fence(r: SupervisedRun) -> None:
        assert r.committer is not None
        r.committer.run.fail(Reason.FENCED, "attempt 2 has started")

    run.at = [(5, fence)]
    assert not run.run()
    assert (run.status.reason, run.status.message) == (Reason.FENCED, "attempt 2 has started")
    assert run.log.published == {}


@pytest.mark.parametrize("while_", ["waiting", "training"])
def test_store_that_refuses_for_good_fails_the_run(tmp_path: Path, while_: str) -> None:
    run = SupervisedRun(tmp_path, min_clients=2)
    run.acts = [starts]
    if while_ == "waiting":
        run.clients.pop("worker-1")

    def refuse(r: SupervisedRun) -> None:
        assert r.committer is not None
        r.committer.run.fail(Reason.STORE_UNREACHABLE, "b at AWS: no answer; check it")

    run.at = [(5, refuse)]
    assert not run.run()
    assert run.status.reason == Reason.STORE_UNREACHABLE


def test_superseded_round_that_is_offered_is_committed_before_the_next_segment(
    tmp_path: Path,
) -> None:
    run = SupervisedRun(tmp_path)

    def pause(r: SupervisedRun, value: bool) -> None:
        assert r.committer is not None
        r.committer.paused = value

    def offers_and_vanishes(r: SupervisedRun, job: FakeJob) -> None:
        starts(r, job)
        if job.memory.get("begun") and not job.memory.get("offered"):
            job.memory["offered"] = True
            pause(r, True)
            r.offer(job)
            half = r.handover.model_file(2)
            half.parent.mkdir(parents=True)
            half.write_bytes(b"half a model")
            r.at.append((r.clock.now + 5, lambda r: pause(r, False)))
        elif job.memory.get("offered"):
            r.parent.job = None

    run.acts = [offers_and_vanishes]
    assert run.run()
    assert run.jobs[1].start_round == 1
    assert run.log.models[2] == b"model of round 2", "what was half-written is not taken"


def test_gpu_is_free_before_the_next_segment(tmp_path: Path) -> None:
    run = SupervisedRun(tmp_path, device="cuda")
    run.acts = [ends("broken", error={"reason": "FederationFailed", "message": "y"})]
    assert run.run()
    assert run.parent.calls.count(f"abort {run.jobs[0].id}") == 1
    assert f"abort {run.jobs[1].id}" not in run.parent.calls

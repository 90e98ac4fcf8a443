"""What the loop and the committer share."""

from __future__ import annotations

from pathlib import Path

from fedjob.protocol.commit import ClientFailure, Participant
from fedjob.protocol.server_status import ServerStatus
from fedjob.storage.errors import StoreUnreachableError, Where
from fedjob_runtime.server.clock import SystemClock
from fedjob_runtime.server.supervisor.run_state import RunState
from fedjob_runtime.server.supervisor.status_store import StatusStore
from support.handover import handover_in
from support.supervised_run import commit_of


def state_in(folder: Path) -> RunState:
    return RunState(StatusStore(ServerStatus()), handover_in(folder), SystemClock())


def test_commit_is_shown_with_its_warnings_and_failures(tmp_path: Path) -> None:
    run = state_in(tmp_path)
    run.fruitless = 3
    warned = Participant(name="worker-0", samples=1, warnings=["WeightsNotLoaded: trains alone"])  # type: ignore[list-item]
    failure = ClientFailure(name="worker-1", reason="TrainingFailed", message="worker-1: KeyError")
    run.committed(commit_of(1, participants=[warned], failures=[failure]))
    control = handover_in(tmp_path).read_control()
    assert control is not None
    assert control.committed == 1
    assert run.fruitless == 0
    assert (run.status.status.completed, len(run.status.status.history)) == (1, 1)
    assert [(e.reason, e.message) for e in run.status.status.events] == [
        ("WeightsNotLoaded", "worker-0: trains alone"),
        ("TrainingFailed", "worker-1: KeyError"),
    ]


def test_initial_model_is_not_shown_as_a_round(tmp_path: Path) -> None:
    run = state_in(tmp_path)
    run.committed(commit_of(0))
    assert run.control.committed == 0
    assert run.status.status.history == []


def test_first_failure_stays(tmp_path: Path) -> None:
    run = state_in(tmp_path)
    run.fail("Fenced", "first")
    run.fail("InternalError", "second")
    assert run.failure is not None
    assert run.failure.message == "first"


def test_store_that_cannot_be_reached_is_counted_and_named(tmp_path: Path) -> None:
    run = state_in(tmp_path)
    run.store_unreachable(StoreUnreachableError(Where("b", "AWS"), "no answer", "check it"))
    assert run.status.status.retries == {"store": 1}
    assert "the store cannot be reached: " in run.status.status.message
    assert run.healthy()

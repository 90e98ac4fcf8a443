"""The status that a round log implies, for a server that ended without reporting it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from fedjob.protocol.commit import Standing
from fedjob.protocol.history import History
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.reasons import Reason
from fedjob.spec.models.status import HISTORY_LENGTH
from fedjob.storage.owner import Owner
from fedjob_operator.stages import round_log
from fedjob_operator.stages.errors import StageError
from fedjob_operator.stages.round_log import keep_history, read_log
from support.memory_bucket import MemoryStore
from support.operator.samples import a_commit, a_job

OWNER = Owner("uid-1", "2026-11-24T10:00:00Z", "cluster-a")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """A store whose round log is a dictionary of commits."""
    made = MemoryStore()
    commits: dict[int, Any] = {}

    class Log:
        def __init__(self, *_: object) -> None:
            self.read = commits.__getitem__

        def commits(self) -> list[int]:
            return sorted(commits)

        def latest_attempt(self) -> int:
            return 2

    monkeypatch.setattr(round_log, "RoundLog", Log)
    object.__setattr__(made, "commits", commits)
    return made


def commit(store: MemoryStore, number: int, model: bytes) -> None:
    digest = hashlib.sha256(model).hexdigest()
    store.__dict__["commits"][number] = a_commit(number, 1, sha256=digest, size=len(model))


def publish(store: MemoryStore, model: bytes) -> None:
    key = store.layout.under(store.layout.model_out, "model.safetensors")
    store.bucket().objects[key] = model


def status_of(store: MemoryStore, rounds: int = 2) -> ServerStatus:
    return read_log(a_job(federation={"numRounds": rounds}), store)


def test_empty_log_is_a_run_that_starts(store: MemoryStore) -> None:
    status = status_of(store)
    assert (status.phase, status.completed, status.history) == (RunPhase.STARTING, 0, [])


def test_all_rounds_without_the_published_model_are_not_complete(store: MemoryStore) -> None:
    for number in range(3):
        commit(store, number, b"model")
    assert status_of(store).phase is RunPhase.STARTING


def test_all_rounds_with_their_model_are_complete(store: MemoryStore) -> None:
    for number in range(3):
        commit(store, number, b"model")
    publish(store, b"model")
    status = status_of(store)
    assert (status.phase, status.completed, status.attempt) == (RunPhase.COMPLETE, 2, 2)
    assert status.result_sha256 == hashlib.sha256(b"model").hexdigest()
    assert [each.round for each in status.history] == [1, 2]


def test_model_of_an_earlier_round_is_not_the_result(store: MemoryStore) -> None:
    """numRounds was raised after the second round had been published."""
    for number in range(3):
        commit(store, number, b"model")
    publish(store, b"model")
    commit(store, 3, b"better")
    assert status_of(store, rounds=3).phase is RunPhase.STARTING
    publish(store, b"better")
    assert status_of(store, rounds=3).phase is RunPhase.COMPLETE


def test_rounds_up_to_an_early_stop_are_complete(store: MemoryStore) -> None:
    for number in range(3):
        commit(store, number, b"model")
    commits = store.__dict__["commits"]
    commits[2] = commits[2].model_copy(update={"standing": Standing(stopped=9)})
    assert status_of(store, rounds=9).phase is RunPhase.STARTING
    publish(store, b"model")
    assert status_of(store, rounds=9).phase is RunPhase.COMPLETE
    assert status_of(store, rounds=10).phase is RunPhase.STARTING


def kept(store: MemoryStore, owner: Owner) -> bool:
    bucket = store.bucket()
    bucket.put_bytes(store.layout.owner, owner.to_json())
    return keep_history(OWNER, store, lambda: None)


def test_failed_run_of_many_rounds_gets_a_history(store: MemoryStore) -> None:
    for number in range(HISTORY_LENGTH + 2):
        commit(store, number, b"model")
    assert kept(store, OWNER)
    text = store.bucket().objects[store.layout.result("history.json")]
    rounds = History.model_validate_json(text).rounds
    assert [line.round for line in rounds] == list(range(1, HISTORY_LENGTH + 2))


def test_history_is_written_for_the_owner_and_where_a_status_is_too_small(
    store: MemoryStore,
) -> None:
    for number in range(HISTORY_LENGTH):
        commit(store, number, b"model")
    assert not kept(store, OWNER)
    for number in range(HISTORY_LENGTH, HISTORY_LENGTH + 2):
        commit(store, number, b"model")
    assert not kept(store, Owner("another", "2026-01-01T00:00:00Z"))
    assert store.layout.result("history.json") not in store.bucket().objects


def test_history_has_the_last_rounds_within_its_bounds(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(HISTORY_LENGTH + 5):
        commit(store, number, b"model")
    monkeypatch.setattr(round_log, "MOST_ROUNDS", 3)
    last = HISTORY_LENGTH + 4
    assert rounds_kept(store) == [last - 2, last - 1, last]
    one = len(store.__dict__["commits"][last].model_dump_json())
    monkeypatch.setattr(round_log, "MOST_BYTES", 2 * one)
    assert rounds_kept(store) == [last - 1, last]


def rounds_kept(store: MemoryStore) -> list[int]:
    assert kept(store, OWNER)
    text = store.bucket().objects[store.layout.result("history.json")]
    return [line.round for line in History.model_validate_json(text).rounds]


def test_history_is_not_written_without_the_lease(store: MemoryStore) -> None:
    for number in range(HISTORY_LENGTH + 2):
        commit(store, number, b"model")
    kept(store, OWNER)
    key = store.layout.result("history.json")
    del store.bucket().objects[key]

    def lost() -> None:
        raise StageError(Reason.FENCED, "another operator leads")

    with pytest.raises(StageError):
        keep_history(OWNER, store, lost)
    assert key not in store.bucket().objects

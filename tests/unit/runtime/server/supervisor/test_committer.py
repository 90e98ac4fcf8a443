"""Finished rounds become durable in order; a newer server is noticed without one too."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from fedjob.errors import FedjobError
from fedjob.protocol.commit import Commit
from fedjob.reasons import Reason
from fedjob.storage.errors import FencedError, StoreUnreachableError, Where
from fedjob.storage.rounds import RoundLog
from fedjob_runtime.server.supervisor.committer import Committer
from support.handover import handover_in


class Log:
    """A log of which each look finds what a test wants."""

    def __init__(self, *finds: FedjobError | None) -> None:
        self.finds = list(finds)

    def require_newest(self, attempt: int) -> None:
        found = self.finds.pop(0)
        if found is not None:
            raise found


class Run:
    """Keeps why it failed; `ended` is set with it."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, str]] = []
        self.ended = threading.Event()

    stopped = False

    def judged(self, commit: Commit) -> Commit:
        return commit

    def committed(self, commit: Commit) -> None:
        raise AssertionError("nothing can be committed")

    def fail(self, reason: str, message: str) -> None:
        self.failures.append((reason, message))
        self.ended.set()


def test_server_with_nothing_to_commit_looks_for_a_newer_one(tmp_path: Path) -> None:
    """It may have been paused while its workers went to the other; a lost store does not end it."""
    away = StoreUnreachableError(Where("b", "AWS"), "no answer", "check it")
    newer = FencedError("attempt 2 has started; stop this one")
    log, run = Log(None, away, None, newer), Run()
    committer = Committer(
        cast(RoundLog, log), handover_in(tmp_path), run, attempt=1, last=0, fence_seconds=0.01
    )
    committer.start()
    assert run.ended.wait(30), os.listdir(tmp_path)
    committer.drain(10)
    assert run.failures == [(Reason.FENCED, "attempt 2 has started; stop this one")]
    assert log.finds == []


FACTS: dict[str, Any] = {
    "sha256": hashlib.sha256(b"model").hexdigest(),
    "participants": [],
    "failures": [],
    "metrics": {},
    "times": {},
    "started": "2027-01-15T08:00:00Z",
    "ended": "2027-01-15T08:00:01Z",
}


def outcome(folder: Path, log: object, **facts: Any) -> Run:
    """What the committer makes of round 0 as the job process hands it over."""
    handover = handover_in(folder)
    handover.model_file(0).parent.mkdir(parents=True, exist_ok=True)
    handover.model_file(0).write_bytes(b"model")
    handover.offer_round(0, {**FACTS, **facts})
    run = Run()
    committer = Committer(cast(RoundLog, log), handover, run, attempt=1, last=-1)
    committer.start()
    assert run.ended.wait(30)
    committer.drain(10)
    return run


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"times": {"train": "soon"}}, "round.json, which the server's job process handed over"),
        ({"sha256": "00"}, "model.safetensors, which the server's job process handed over"),
    ],
)
def test_round_that_cannot_be_used_fails_the_run(
    tmp_path: Path, facts: dict[str, Any], message: str
) -> None:
    """The thread ended, and the supervisor waited for the round for ever."""
    [(reason, text)] = outcome(tmp_path, Log(None, None), **facts).failures
    assert reason == Reason.HANDOVER_INVALID
    assert message in text


def test_error_that_nobody_knows_fails_the_run(tmp_path: Path) -> None:
    class Broken(Log):
        def upload_model(self, commit: Commit, model: Path) -> None:
            raise RuntimeError("a bug")

    [(reason, text)] = outcome(tmp_path, Broken(None)).failures
    assert reason == Reason.INTERNAL_ERROR
    assert "round 0 cannot be committed: RuntimeError: a bug" in text


def test_what_is_committed_is_a_copy_that_the_job_process_cannot_reach(tmp_path: Path) -> None:
    taken: list[tuple[Commit, Path, bytes]] = []

    class Keeping(Log):
        def upload_model(self, commit: Commit, model: Path) -> None:
            # The job process changes its file after it was checked.
            handover_in(tmp_path).model_file(0).write_bytes(b"other")

        def commit(self, commit: Commit, model: Path, strategy: Path | None) -> Commit:
            taken.append((commit, model, model.read_bytes()))
            raise FencedError("enough")

    outcome(tmp_path, Keeping(None))
    [(commit, model, content)] = taken
    assert model == tmp_path / "orders/rounds/0/model.safetensors"
    assert (content, commit.size) == (b"model", 5)
    assert commit.sha256 == FACTS["sha256"]


def test_what_the_strategy_keeps_is_committed_with_the_model(tmp_path: Path) -> None:
    class Store:
        def __init__(self) -> None:
            self.got: list[tuple[Commit, bytes | None]] = []

        def require_newest(self, attempt: int) -> None:
            pass

        def upload_model(self, commit: Commit, path: Path) -> None:
            pass

        def commit(self, commit: Commit, path: Path, strategy: Path | None = None) -> Commit:
            self.got.append((commit, None if strategy is None else strategy.read_bytes()))
            return commit

    class Ends(Run):
        def committed(self, commit: Commit) -> None:
            self.ended.set()

    handover = handover_in(tmp_path)
    handover.model_file(0).parent.mkdir(parents=True)
    handover.model_file(0).write_bytes(b"model")
    handover.strategy_file(0).write_bytes(b"velocity")
    sha256 = hashlib.sha256(b"velocity").hexdigest()
    handover.offer_round(0, {**FACTS, "strategy_sha256": sha256})
    store, run = Store(), Ends()
    committer = Committer(cast(RoundLog, store), handover, run, attempt=1, last=-1)
    committer.start()
    assert run.ended.wait(30)
    committer.drain(10)
    [(commit, kept)] = store.got
    assert kept == b"velocity"
    assert commit.strategy is not None
    assert (commit.strategy.sha256, commit.strategy.size) == (sha256, 8)


def test_what_the_strategy_keeps_must_have_its_checksum(tmp_path: Path) -> None:
    handover = handover_in(tmp_path)
    handover.strategy_file(0).parent.mkdir(parents=True)
    handover.strategy_file(0).write_bytes(b"other")
    run = outcome(tmp_path, Log(None), strategy_sha256="0" * 64)
    [(reason, message)] = run.failures
    assert reason == Reason.HANDOVER_INVALID
    assert "rounds/0/strategy.safetensors" in message
    assert "has another SHA-256" in message

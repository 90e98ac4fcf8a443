"""Finished rounds become durable in order; a newer server is noticed without one too."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import cast

from fedjob.errors import FedjobError
from fedjob.protocol.commit import Commit
from fedjob.reasons import Reason
from fedjob.storage.errors import FencedError, StoreUnreachableError, Where
from fedjob.storage.rounds import RoundLog
from fedjob_runtime.server.ipc import Handover
from fedjob_runtime.server.supervisor.committer import Committer


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
        cast(RoundLog, log), Handover(tmp_path), run, attempt=1, last=0, fence_seconds=0.01
    )
    committer.start()
    assert run.ended.wait(30), os.listdir(tmp_path)
    committer.drain(10)
    assert run.failures == [(Reason.FENCED, "attempt 2 has started; stop this one")]
    assert log.finds == []


def test_round_that_cannot_be_read_fails_the_run(tmp_path: Path) -> None:
    """The thread ended, and the supervisor waited for the round for ever."""
    handover = Handover(tmp_path)
    handover.round_folder(0).mkdir(parents=True)
    handover.offer_round(0, {"times": {"train": "soon"}})
    run = Run()
    committer = Committer(cast(RoundLog, Log(None)), handover, run, attempt=1, last=-1)
    committer.start()
    assert run.ended.wait(30)
    committer.drain(10)
    [(reason, message)] = run.failures
    assert reason == Reason.INTERNAL_ERROR
    assert "round 0 cannot be committed: ValidationError" in message

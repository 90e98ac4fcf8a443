"""Finished rounds become durable in order; a newer server is noticed without one too."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import cast

from fedjob.errors import FedjobError
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


def test_server_with_nothing_to_commit_looks_for_a_newer_one(tmp_path: Path) -> None:
    """It may have been paused while its workers went to the other; a lost store does not end it."""
    away = StoreUnreachableError(Where("b", "AWS"), "no answer", "check it")
    newer = FencedError("attempt 2 has started; stop this one")
    reported: list[tuple[str, FedjobError]] = []
    ended = threading.Event()

    def report(what: str, found: FedjobError) -> None:
        reported.append((what, found))
        ended.set()

    log = Log(None, away, None, newer)
    committer = Committer(
        cast(RoundLog, log),
        Handover(tmp_path),
        attempt=1,
        last=0,
        committed=lambda _: None,
        fenced=lambda found: report("fenced", found),
        failed=lambda found: report("failed", found),
        fence_seconds=0.01,
    )
    committer.start()
    assert ended.wait(30), os.listdir(tmp_path)
    committer.drain(10)
    assert reported == [("fenced", newer)]
    assert log.finds == []


def test_round_that_cannot_be_read_fails_the_run(tmp_path: Path) -> None:
    """The thread ended, and the supervisor waited for the round for ever."""
    handover = Handover(tmp_path)
    handover.round_folder(0).mkdir(parents=True)
    handover.offer_round(0, {"times": {"train": "soon"}})
    failures: list[FedjobError] = []
    ended = threading.Event()

    def failed(error: FedjobError) -> None:
        failures.append(error)
        ended.set()

    committer = Committer(
        cast(RoundLog, Log(None)),
        handover,
        attempt=1,
        last=-1,
        committed=lambda _: None,
        fenced=lambda _: None,
        failed=failed,
    )
    committer.start()
    assert ended.wait(30)
    committer.drain(10)
    [error] = failures
    assert error.reason is Reason.INTERNAL_ERROR
    assert "round 0 cannot be committed: ValidationError" in str(error)

"""Makes finished rounds durable, in order, beside the training of the next one."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from fedjob.errors import FedjobError
from fedjob.protocol.commit import Commit, StrategyState
from fedjob.reasons import Reason
from fedjob.storage.errors import FencedError, RoundTakenError
from fedjob.storage.rounds import RoundLog
from fedjob_runtime.server.supervisor.handover import OfferedRound, SupervisorHandover

logger = logging.getLogger("fedjob.server")

POLL_SECONDS = 0.05
FENCE_SECONDS = 30.0
"""Seconds between two checks for a newer server while there is nothing to commit. This one may have
been paused while its workers went to the other; it would wait for them for ever."""


class CommitterError(FedjobError):
    """A finished round could not be read or recorded."""


class CommittedRun(Protocol):
    """The run whose rounds are committed."""

    @property
    def stopped(self) -> bool:
        """Whether the last committed round ended the run early."""

    def judged(self, commit: Commit) -> Commit:
        """The commit with its standing: which round is best now, and whether the run stops."""

    def committed(self, commit: Commit) -> None:
        """Records that a round is durable."""

    def fail(self, reason: str, message: str) -> None:
        """Fails the run."""


class Committer:
    """Commits what the job process hands over.

    Args:
        log: The log of committed rounds.
        handover: Where finished rounds lie.
        run: Gets each new commit; fails when another server has taken the job over, or when the
            store refuses for good.
        attempt: This server start.
        last: The last round committed already, -1 for none.
        fence_seconds: Seconds between two checks for a newer server with nothing to commit.
    """

    def __init__(
        self,
        log: RoundLog,
        handover: SupervisorHandover,
        run: CommittedRun,
        *,
        attempt: int,
        last: int,
        fence_seconds: float = FENCE_SECONDS,
    ) -> None:
        self._log = log
        self._handover = handover
        self._run = run
        self._attempt = attempt
        self._next = last + 1
        self._fence_seconds = fence_seconds
        self._segment = 0
        self._began = time.time()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)

    def start(self) -> None:
        """Begins on a thread of its own."""
        self._thread.start()

    def begin_segment(self, segment: int) -> None:
        """Rounds offered from now on were made by this segment."""
        self._segment = segment
        self._began = time.time()

    def drain(self, seconds: float) -> None:
        """Lets the round at hand become durable, for a bounded time, and stops."""
        self._stop.set()
        self._thread.join(seconds)

    def _work(self) -> None:
        looked = time.monotonic()
        while True:
            # A round that is offered is committed even when a stop was asked for meanwhile.
            try:
                offered = self._handover.offered_round(self._next)
            except FedjobError as error:
                self._run.fail(error.reason, str(error))
                return
            due = time.monotonic() - looked >= self._fence_seconds
            if offered is None and not due:
                if self._stop.wait(POLL_SECONDS):
                    return
                continue
            try:
                # Before the upload too: a fenced server leaves nothing in the store.
                self._log.require_newest(self._attempt)
                looked = time.monotonic()
                if offered is not None:
                    self._commit(offered)
                    if self._run.stopped:
                        # A round that workers have made meanwhile is not part of the run.
                        return
            except (FencedError, RoundTakenError) as error:
                self._run.fail(Reason.FENCED, str(error))
                return
            except FedjobError as error:
                if offered is None:
                    # Nothing is lost yet: the next commit waits for the store.
                    looked = time.monotonic()
                    continue
                self._run.fail(error.reason, str(error))
                return
            except Exception as error:
                # Without this the thread would end and the supervisor wait for the round for ever.
                logger.exception("round %s cannot be committed", self._next)
                unknown = CommitterError(
                    f"round {self._next} cannot be committed: {type(error).__name__}: {error}; "
                    "this is a fault of fedjob: report it with the server's log"
                )
                self._run.fail(unknown.reason, str(unknown))
                return

    def _commit(self, offered: OfferedRound) -> None:
        number, began = self._next, time.time()
        model = self._handover.take_model(number, offered.sha256)
        if number == self._handover.last_round:
            self._handover.take_torch_file(number)
        kept = self._take_strategy(number, offered)
        commit = Commit(
            round=number,
            attempt=self._attempt,
            segment=self._segment,
            sha256=offered.sha256,
            size=model.stat().st_size,
            strategy=kept,
            participants=offered.participants,
            failures=offered.failures,
            metrics=offered.metrics,
            times=offered.times,
            started=offered.started,
            ended=offered.ended,
        )
        commit = self._run.judged(commit)
        self._log.upload_model(commit, model)
        now = time.time()
        commit = commit.model_copy(
            update={
                "times": offered.times.model_copy(
                    update={"commit": now - began, "total": now - self._began}
                )
            }
        )
        strategy = None if kept is None else self._handover.start_strategy(number)
        stored = self._log.commit(commit, model, strategy)
        self._began = now
        self._next = number + 1
        # A segment may still be loading the model before this one.
        self._handover.forget_models(number - 1)
        self._run.committed(stored)

    def _take_strategy(self, number: int, offered: OfferedRound) -> StrategyState | None:
        if offered.strategy_sha256 is None:
            return None
        file = self._handover.take_strategy(number, offered.strategy_sha256)
        return StrategyState(sha256=offered.strategy_sha256, size=file.stat().st_size)

"""What the segment loop, the committer and the end of the run share about one server start."""

from __future__ import annotations

import threading
from dataclasses import replace

from fedjob.protocol.commit import Commit, Standing
from fedjob.protocol.standing import ranking, standing_after
from fedjob.spec.models.federation import FederationConfig
from fedjob.spec.models.status import HISTORY_LENGTH
from fedjob.storage.errors import StoreUnreachableError
from fedjob_runtime.server.clock import Clock
from fedjob_runtime.server.ipc import Control
from fedjob_runtime.server.supervisor.failure_policy import Failure, RoundTries
from fedjob_runtime.server.supervisor.handover import SupervisorHandover
from fedjob_runtime.server.supervisor.status_store import StatusStore

STALLED_SECONDS = 120.0
"""A loop that has not turned for so long is reported as unhealthy."""


class RunState:
    """Shared by the main thread and the committer's.

    Args:
        status: Where the run is shown.
        handover: Where the job process reads what it may do.
        clock: Time.
        federation: How rounds are compared, and when the run stops early.

    Attributes:
        tries: What has gone wrong in the round under way.
        fruitless: Segments in a row that ended without a commit and without a worker to blame.
        failure: Why the run has failed for good; None while it has not.
        stopped: Whether the last committed round ended the run early.
        last_error: The last error of a job process that may pass; empty where there was none.
    """

    def __init__(
        self,
        status: StatusStore,
        handover: SupervisorHandover,
        clock: Clock,
        federation: FederationConfig | None = None,
    ) -> None:
        self.status = status
        self.tries = RoundTries()
        self.fruitless = 0
        self.failure: Failure | None = None
        self.stopped = False
        self.last_error = ""
        self._federation = federation or FederationConfig()
        self._standing: Standing | None = None
        self._handover = handover
        self._clock = clock
        self._control = Control(segment=0)
        self._mutex = threading.Lock()
        self._turned = clock.monotonic()

    @property
    def control(self) -> Control:
        """What the job process was asked for last."""
        return self._control

    def resume(self, segment: int, committed: int, standing: Standing | None = None) -> None:
        """Sets where this start begins; nothing is written before the first segment."""
        self._control = Control(segment=segment, committed=committed)
        self._standing = standing

    def set_control(self, **changes: object) -> None:
        """Changes what the job process is asked for."""
        with self._mutex:
            control = replace(self._control, **changes)  # type: ignore[arg-type]
            if control != self._control:
                self._control = control
                self._handover.write_control(control)

    def turned(self) -> None:
        """Records that the loop makes progress."""
        self._turned = self._clock.monotonic()

    def healthy(self) -> bool:
        """Whether the loop turned within STALLED_SECONDS."""
        return self._clock.monotonic() - self._turned < STALLED_SECONDS

    def fail(self, reason: str, message: str) -> None:
        """Fails the run; the first failure stays."""
        if self.failure is None:
            self.failure = Failure(reason, message)

    def count(self, kind: str, message: str) -> None:
        """Counts a transient fault and tells of it in an event."""
        self.status.count(kind)
        self.status.event("Recovering", message, "Warning")

    def store_unreachable(self, error: StoreUnreachableError) -> None:
        """Counts a try that did not reach the store; waiting for it is progress."""
        self.turned()
        self.status.count("store")
        self.status.update(message=f"the store cannot be reached: {error}")

    def judged(self, commit: Commit) -> Commit:
        """The commit with its standing: which round is best now, and whether the run stops."""
        standing = standing_after(commit, self._standing, self._federation)
        return commit.model_copy(update={"standing": standing})

    def committed(self, commit: Commit) -> None:
        """Records that a round is durable; the committer calls it."""
        self._standing = commit.standing
        # Before the round counts as committed: the loop must not begin another segment.
        self.stopped = commit.standing is not None and commit.standing.stopped is not None
        self.set_control(committed=commit.round)
        if commit.round == 0:
            return
        self.tries.committed(commit)
        self.fruitless = 0
        history = [*self.status.status.history, commit][-HISTORY_LENGTH:]
        self.status.update(completed=commit.round, history=history)
        self._tell_of_standing(commit)
        for participant in commit.participants:
            for warning in participant.warnings:
                message = f"{participant.name}: {warning.message}"
                self.status.event(warning.reason, message, "Warning")
        for failure in commit.failures:
            self.status.event(failure.reason, failure.message, "Warning")

    def _tell_of_standing(self, commit: Commit) -> None:
        by = ranking(self._federation)
        if by is None:
            return
        if self.stopped:
            self.status.event(
                "StoppedEarly", f"federation.stopWhen is met after round {commit.round}"
            )
        elif by.metric not in commit.metrics and commit.round == 1:
            there = ", ".join(sorted(commit.metrics)) or "no metric"
            self.status.event(
                "MetricMissing",
                f"round 1 has no finite {by.metric}, by which rounds are compared; it has {there}: "
                "correct the name in federation.stopWhen or bestModel, or return the metric",
                "Warning",
            )

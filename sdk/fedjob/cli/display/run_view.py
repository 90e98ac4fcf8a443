"""The state behind both displays of a run in progress."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedjob.engines.local.observer import Step
from fedjob.protocol.commit import Commit
from fedjob.protocol.server_status import ServerStatus

_RECENT = 5


@dataclass
class RunView:
    """State of a run, updated by the engine's observer calls.

    Attributes:
        name: The job.
        total: Rounds to run, before the server says so itself.
        started: When each phase began (any clock in seconds, the same for all).
        uploaded: Bytes done and in all.
        status: The server's last status.
        commits: Every committed round seen, by number: a status holds the last ones only.
        restarts: Process restarts, by name.
        notes: Lines shown, with whether each is a warning.
        first_attempt: The server start seen first: commits of earlier ones are of an earlier run.
        committed_at: When the last commit was seen, on the clock of `started`.
    """

    name: str
    total: int
    started: dict[Step, float] = field(default_factory=dict)
    uploaded: tuple[int, int] = (0, 0)
    status: ServerStatus | None = None
    commits: dict[int, Commit] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    notes: list[tuple[str, bool]] = field(default_factory=list)
    first_attempt: int | None = None
    committed_at: float | None = None

    def take(self, status: ServerStatus, now: float) -> list[Commit]:
        """Take a new status; returns the commits that this run has made since, by their rounds."""
        self.status = status
        if self.first_attempt is None and status.attempt > 0:
            self.first_attempt = status.attempt
        self.total = status.total or self.total
        new = [commit for commit in status.history if commit.round not in self.commits]
        for commit in new:
            self.commits[commit.round] = commit
            self.committed_at = now
        ours = [commit for commit in new if commit.attempt >= (self.first_attempt or 0)]
        return sorted(ours, key=lambda commit: commit.round)

    @property
    def step(self) -> Step | None:
        """The phase under way."""
        return next((step for step in reversed(Step) if step in self.started), None)

    @property
    def completed(self) -> int:
        """Committed rounds."""
        return self.status.completed if self.status else 0

    def elapsed(self, step: Step, now: float) -> float | None:
        """Seconds in a phase, up to the next one's start or now; None before it."""
        if step not in self.started:
            return None
        later = [start for other, start in self.started.items() if start > self.started[step]]
        return min(later, default=now) - self.started[step]

    def eta(self, now: float) -> float | None:
        """Seconds to the last round: the mean of the last rounds times those left."""
        rounds = [commit for number, commit in sorted(self.commits.items()) if number > 0]
        left = self.total - self.completed
        if not rounds or left <= 0:
            return None
        recent = [commit.times.total for commit in rounds[-_RECENT:]]
        mean = sum(recent) / len(recent)
        since = 0.0 if self.committed_at is None else now - self.committed_at
        return max(mean * left - min(since, mean), 0.0)

    def series(self, metric: str) -> list[float | None]:
        """A metric by round, round 0 included where it was measured."""
        return [
            commit.metrics.get(metric)
            for number, commit in sorted(self.commits.items())
            if number > 0 or metric in commit.metrics
        ]

    @property
    def metric_names(self) -> set[str]:
        """Every metric seen so far."""
        return {name for commit in self.commits.values() for name in commit.metrics}

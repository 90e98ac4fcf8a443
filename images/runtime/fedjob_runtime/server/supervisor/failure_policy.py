"""What follows a round that fell short of min_clients, or a job process that ended. Pure.

A fault of the author's code or data is not retried blindly: it fails the run as soon as the workers
without such a fault cannot make min_clients. What may pass (a lost connection, a killed process, a
slow round) is tried again with backoff.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedjob.backoff import Backoff
from fedjob.protocol.commit import Commit
from fedjob.reasons import Reason

MAX_TRIES = 3
"""Tries of one round in which a worker exits or does not answer in time, before it is left out."""
BACKOFF = Backoff(first=1.0, longest=15.0)
"""Between segments that end without a commit."""

PASSING = frozenset(
    {
        Reason.TRAINING_TIMEOUT,
        Reason.WORKER_EXITED,
        Reason.WORKER_LOST,
        Reason.INTERRUPTED,
    }
)


@dataclass(slots=True)
class RoundTries:
    """What has gone wrong in the round under way.

    Attributes:
        round: The round, as its commit will be numbered.
        count: Segments that ended without committing it.
        passing: How often each worker failed it in a way that may pass.
        faults: {reason, message} of each worker's last failure of it.
    """

    round: int = 0
    count: int = 0
    passing: dict[str, int] = field(default_factory=dict)
    faults: dict[str, tuple[str, str]] = field(default_factory=dict)

    def note(self, round_number: int, worker: str, reason: str, message: str) -> None:
        """Records a worker's failure of a round."""
        # A timeout is known once its round is committed; it counts in the round that follows.
        if round_number > self.round:
            self.reset(round_number)
        self.faults[worker] = (reason, message)
        if reason in PASSING:
            self.passing[worker] = self.passing.get(worker, 0) + 1

    def reset(self, round_number: int) -> None:
        """Starts a new round."""
        self.round, self.count = round_number, 0
        self.passing.clear()
        self.faults.clear()

    def committed(self, commit: Commit) -> None:
        """Forgets what went wrong in rounds up to this one, but for its timeouts.

        A worker that times out round after round costs each of them roundTimeout: it is counted on.
        """
        if self.round > commit.round:
            return
        late = {f.name for f in commit.failures if f.reason == Reason.TRAINING_TIMEOUT}
        passing = {name: count for name, count in self.passing.items() if name in late}
        faults = {name: fault for name, fault in self.faults.items() if name in late}
        self.reset(commit.round + 1)
        self.passing.update(passing)
        self.faults.update({name: faults[name] for name in passing if name in faults})

    @property
    def left_out(self) -> frozenset[str]:
        """Workers that are not asked for this round again."""
        return frozenset(
            name
            for name, (reason, _) in self.faults.items()
            if reason not in PASSING or self.passing.get(name, 0) >= MAX_TRIES
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of the run: a reason of the catalogue and what a person reads."""

    reason: str
    message: str


def judge_tries(tries: RoundTries, expected: Mapping[str, str], min_clients: int) -> Failure | None:
    """Whether the round can still reach min_clients; the run's failure where it cannot.

    Args:
        tries: What has gone wrong in it.
        expected: All workers of the job, with their shards.
        min_clients: Results that a round needs.
    """
    if len(expected) - len(tries.left_out) >= min_clients:
        return None
    first = sorted(tries.left_out)[0]
    reason = tries.faults[first][0]
    lines = [tries.faults[name][1] for name in sorted(tries.left_out)]
    summary = (
        f"round {tries.round} cannot reach minClients {min_clients}: "
        f"{len(tries.left_out)} of {len(expected)} workers failed it"
    )
    return Failure(reason, "\n".join([summary, *lines]))


def delay_before(count: int) -> float:
    """Seconds to wait before the next segment after `count` segments without a commit."""
    return BACKOFF.delay(count)

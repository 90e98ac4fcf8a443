"""What to do when a process of the run ends: pure rules, no clock but an argument.

Exit codes are an agreement with fedjob_runtime: a server ends with 0 (the run is complete) or 1 (it
failed for good, with the reason in its status); a worker with 0 (done) or 64 (a restart would not
help: a bad shard, a missing package). Everything else is a crash.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fedjob.backoff import Backoff
from fedjob.protocol.exit_codes import EXIT_TERMINAL

STABLE_SECONDS = 60.0
"""A process that lived this long had started well: its backoff starts over."""
BACKOFF = Backoff(first=0.5, longest=15.0)
"""Before the restart that follows a crash; the first crash in a row is number 1."""


class Then(StrEnum):
    """What follows the end of a process."""

    DONE = "done"
    FAILED = "failed"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    Attributes:
        then: Done, failed for good, or start it again.
        after: Seconds to wait before the start; 0 unless `then` is RESTART.
        why: For a person: how the process ended.
    """

    then: Then
    after: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one process ended.

    Attributes:
        code: Its exit code; negative is minus the signal that killed it.
        lived: Seconds from its start to its end.
        crashes: Crashes before this one since the last committed round (server) or since it last
            lived STABLE_SECONDS (worker).
        restarts: Times it was restarted so far.
    """

    code: int
    lived: float
    crashes: int = 0
    restarts: int = 0

    @property
    def how(self) -> str:
        """`exit code 3` or `signal 9`."""
        return f"signal {-self.code}" if self.code < 0 else f"exit code {self.code}"


def server_ended(ending: Ending, *, reported_failure: bool, backoff_limit: int) -> Decision:
    """What follows the end of the server.

    Args:
        ending: How it ended.
        reported_failure: Its status is Failed. An exit code of 1 without that is a crash (an
            uncaught exception ends Python with 1 as well).
        backoff_limit: spec.runPolicy.backoffLimit: restarts allowed without a committed round.
    """
    if ending.code == 0:
        return Decision(Then.DONE)
    if ending.code == 1 and reported_failure:
        return Decision(Then.FAILED, why="the server ended the run")
    why = f"the server ended with {ending.how}"
    if ending.crashes >= backoff_limit:
        return Decision(
            Then.FAILED, why=f"{why} after {ending.crashes} restarts without a committed round"
        )
    return Decision(Then.RESTART, BACKOFF.delay(ending.crashes + 1), why)


def agent_ended(ending: Ending, *, backoff_limit: int) -> Decision:
    """What follows the end of the server's agent, which never ends by itself.

    Args:
        ending: How it ended.
        backoff_limit: spec.runPolicy.backoffLimit: restarts allowed without a committed round.
    """
    why = f"the server's agent ended with {ending.how}"
    if ending.crashes >= backoff_limit:
        return Decision(
            Then.FAILED, why=f"{why} after {ending.crashes} restarts without a committed round"
        )
    return Decision(Then.RESTART, BACKOFF.delay(ending.crashes + 1), why)


def worker_ended(name: str, ending: Ending, *, max_restarts: int) -> Decision:
    """What follows the end of a worker.

    Args:
        name: `worker-<i>`.
        ending: How it ended.
        max_restarts: spec.workers.maxRestarts.
    """
    if ending.code == 0:
        return Decision(Then.DONE)
    if ending.code == EXIT_TERMINAL:
        return Decision(Then.FAILED, why=f"{name} cannot work")
    if ending.restarts >= max_restarts:
        why = f"{name} ended with {ending.how} and was restarted {ending.restarts} times already"
        return Decision(Then.FAILED, why=why)
    crashes = 1 if ending.lived >= STABLE_SECONDS else ending.crashes + 1
    return Decision(Then.RESTART, BACKOFF.delay(crashes), f"{name} ended with {ending.how}")


def too_few_left(workers: int, failed: int, min_clients: int) -> bool:
    """Whether the workers that can still answer are fewer than a round needs."""
    return workers - failed < min_clients

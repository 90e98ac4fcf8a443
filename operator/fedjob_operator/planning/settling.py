"""What became of a run that failed: its log is read once no server of it is left. Pure.

A server that is stopped commits the round that is offered to it, so a run that failed may turn out
to be whole. Until that is known the job is Failing, as a Kubernetes Job has a FailureTarget before
it is Failed: nobody who waits for Failed is told of a run that ends Complete.
"""

from __future__ import annotations

from enum import StrEnum

from fedjob_operator.naming import SERVER
from fedjob_operator.planning.completion import End, settled
from fedjob_operator.planning.scene import Scene
from fedjob_operator.state.observed import Problem, Stage
from fedjob_operator.state.record import Failure, Record, Result

LOOKS = 5
"""So often the log is asked for, where the store does not answer."""
SETTLE_SECONDS = 60.0
"""After so long a job is Failed whatever is left to find out: its server's node may be lost."""


class Settling(StrEnum):
    """How far it is found out what became of a run."""

    DONE = "done"
    STOPPING = "stopping"  # a server may still commit
    READING = "reading"
    WAITING = "waiting"  # the store has just not answered


def settling(scene: Scene, record: Record, end: End) -> Settling:
    """How far it is; only a failed run that had a server leaves anything to find out."""
    if not isinstance(end, Failure) or end.settled or not record.server.ordinal:
        return Settling.DONE
    if any(not pod.ended for pod in scene.pods_of(SERVER)):
        return Settling.STOPPING
    problem = log_problem(scene)
    if problem is not None and problem.tries >= LOOKS:
        return Settling.DONE
    return Settling.READING if log_stage(scene) else Settling.WAITING


def log_problem(scene: Scene) -> Problem | None:
    """Why the log of rounds could not be read, where that was tried."""
    return scene.observed.facts.problems.get(Stage.LOG)


def log_stage(scene: Scene) -> frozenset[Stage]:
    """To read the log of rounds, unless that has just failed."""
    problem = log_problem(scene)
    waits = problem is not None and problem.retry_at > scene.now
    return frozenset() if waits else frozenset({Stage.LOG})


def settle(scene: Scene, end: End) -> tuple[Record, End]:
    """The record and the end of a run that is over, with what the log said after a failure."""
    record, stored = scene.record, scene.observed.facts.stored
    asked = settling(scene, record, end) in (Settling.READING, Settling.WAITING)
    if not isinstance(end, Failure) or stored is None or not asked:
        return record, end
    end = settled(scene.job, end, stored, scene.now)
    if isinstance(end, Result):
        return record.model_copy(update={"failure": None, "result": end}), end
    return record.model_copy(update={"failure": end}), end


def is_failing(left: Settling, end: End, now: float) -> bool:
    """Whether it is too early to say that the run has failed."""
    return left is not Settling.DONE and now < end.time + SETTLE_SECONDS


def next_look(scene: Scene, left: Settling, end: End) -> float | None:
    """Seconds until there is something to do about it without any news."""
    over = end.time + SETTLE_SECONDS - scene.now if is_failing(left, end, scene.now) else None
    problem = log_problem(scene)
    if left is Settling.WAITING and problem is not None:
        wait = problem.retry_at - scene.now
        return wait if over is None else min(wait, over)
    return over

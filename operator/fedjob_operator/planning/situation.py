"""What the plan has found out about a job, for the status to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fedjob.protocol.server_status import ServerStatus
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import Body
from fedjob_operator.planning.pod_lifecycle import SlotPlan
from fedjob_operator.planning.preparation import Preparation
from fedjob_operator.state.observed import Defaults, Problem, Stage
from fedjob_operator.state.record import Failure, Record, Result


class Mode(StrEnum):
    """What the job is in the middle of."""

    WAITING = "waiting"
    SUSPENDED = "suspended"
    PREPARING = "preparing"
    RUNNING = "running"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that the status follows from.

    Attributes:
        job: The job.
        generation: Of its spec.
        before: The status that the API server has, as JSON.
        mode: What it is in the middle of.
        record: What will be remembered.
        problems: Stages that failed.
        preparation: How far it is; None where it was not looked at.
        server: The plan of the server; None where there is none.
        workers: The plans of the workers.
        said: What the server said last, or the log of rounds.
        end: How the run ended, if it did.
        failing: It failed, and may yet turn out to be complete.
        waits_for: What the job waits for before anything else.
        defaults: The operator's choices.
        now: Seconds since the epoch.
    """

    job: FederatedJob
    generation: int
    before: Body
    mode: Mode
    record: Record
    now: float
    problems: Mapping[Stage, Problem] = field(default_factory=dict)
    preparation: Preparation | None = None
    server: SlotPlan | None = None
    workers: Mapping[str, SlotPlan] = field(default_factory=dict)
    said: ServerStatus | None = None
    end: Failure | Result | None = None
    failing: bool = False
    waits_for: str = ""
    defaults: Defaults = field(default_factory=Defaults)

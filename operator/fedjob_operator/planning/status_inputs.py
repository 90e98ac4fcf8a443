"""What the plan decided about a job, for the status to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fedjob.protocol.server_status import ServerStatus
from fedjob_operator.planning.job_view import JobView
from fedjob_operator.planning.pod_lifecycle import SlotPlan
from fedjob_operator.planning.preparation import Preparation
from fedjob_operator.state.record import Failure, Record, Result


class Mode(StrEnum):
    """What the job is doing."""

    WAITING = "waiting"
    SUSPENDED = "suspended"
    PREPARING = "preparing"
    RUNNING = "running"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusInputs:
    """Everything that the status depends on.

    Attributes:
        view: The job and what exists of it.
        mode: What the job is doing.
        record: The record as it will be written.
        preparation: Progress of the stages; None where it was not evaluated.
        server: The plan of the server's slot; None where there is none.
        workers: The plans of the workers' slots.
        server_status: The last status of the server, or the status of the log of rounds.
        end: How the run ended; None while it has not.
        failing: Whether the run has failed, but may still turn out to be complete.
        waits_for: What the job waits for before anything else; empty where nothing.
    """

    view: JobView
    mode: Mode
    record: Record
    preparation: Preparation | None = None
    server: SlotPlan | None = None
    workers: Mapping[str, SlotPlan] = field(default_factory=dict)
    server_status: ServerStatus | None = None
    end: Failure | Result | None = None
    failing: bool = False
    waits_for: str = ""

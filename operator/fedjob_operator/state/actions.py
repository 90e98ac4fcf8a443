"""What the plan decides, as values; fedjob_operator.controller.executor carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedjob_operator.naming import Body
from fedjob_operator.state.observed import Stage


@dataclass(frozen=True, slots=True)
class EventNote:
    """An Event for a person to read in `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do, in the order of the fields.

    Attributes:
        delete: Objects of ours, as they were observed.
        create: Objects that are not there, pods last.
        apply: Objects of ours that differ from what they should be.
        record: The operator's memory, once all before has succeeded; None: as it is.
        status: The job's status in full.
        stages: Preparations to run in the background.
        again: Seconds until the next look; None: when something happens.
        delete_job: The job has outlived its ttlSecondsAfterFinished.
        news: Events.
    """

    delete: tuple[Body, ...] = ()
    create: tuple[Body, ...] = ()
    apply: tuple[Body, ...] = ()
    record: Body | None = None
    status: Body | None = None
    stages: frozenset[Stage] = frozenset()
    again: float | None = None
    delete_job: bool = False
    news: tuple[EventNote, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything but the status is to be written."""
        return bool(self.delete or self.create or self.apply or self.record or self.delete_job)

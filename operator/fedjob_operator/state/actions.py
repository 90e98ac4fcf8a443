"""What the plan decides, as values; `fedjob_operator.controller.executor` carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fedjob_operator.naming import Body
from fedjob_operator.state.observed import ChildKey, Stage
from fedjob_operator.state.pod_status import PodView


@dataclass(frozen=True, slots=True)
class EventNote:
    """A Kubernetes Event about a job, for `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """What to do, in the order of the fields.

    Attributes:
        delete: Objects of the job, as they were observed.
        create: Objects that do not exist yet, pods last.
        apply: Objects of the job that differ from what they should be.
        drift: Why each object of `apply` is written again.
        record: The record's ConfigMap, to write after all before has succeeded; None: unchanged.
        status: The job's whole status.
        stages: Stages to run in the background.
        again: Seconds until the next reconcile; None: when an event arrives.
        delete_job: The job has outlived its ttlSecondsAfterFinished.
        events: Events to write.
        server: The server's pod, whose status is to be followed; None where there is none.
    """

    delete: tuple[Body, ...] = ()
    create: tuple[Body, ...] = ()
    apply: tuple[Body, ...] = ()
    drift: Mapping[ChildKey, str] = field(default_factory=dict)
    record: Body | None = None
    status: Body | None = None
    stages: frozenset[Stage] = frozenset()
    again: float | None = None
    delete_job: bool = False
    events: tuple[EventNote, ...] = ()
    server: PodView | None = None

    @property
    def changes(self) -> bool:
        """Whether anything but the status is to be written."""
        return bool(self.delete or self.create or self.apply or self.record or self.delete_job)

"""A FederatedJob as the API server returns it: metadata, spec and status in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from fedjob.errors import UnavailableError
from fedjob.formats import epoch
from fedjob.spec.models.status import FederatedJobStatus, JobState

FINAL = frozenset({JobState.COMPLETE, JobState.FAILED})
"""States that a job does not leave by itself."""


class NewerOperatorError(UnavailableError):
    """The status was written by an operator that this fedjob does not understand."""


@dataclass(frozen=True, slots=True)
class JobResource:
    """One FederatedJob.

    Attributes:
        name: metadata.name.
        namespace: metadata.namespace.
        uid: Tells a job from a later one of the same name.
        resource_version: Grows with every change; opaque.
        generation: Grows with every change of the spec.
        created: Seconds since the epoch.
        deleting: Whether it is being deleted.
        annotations: metadata.annotations.
        spec: As stored; a newer cluster may have fields that this fedjob does not know.
        status: What the operator reports; empty before it has seen the job.
    """

    name: str
    namespace: str
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    created: float = 0.0
    deleting: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    status: FederatedJobStatus = field(default_factory=FederatedJobStatus)

    @property
    def suspended(self) -> bool:
        """Whether spec.runPolicy.suspend is true."""
        return bool((self.spec.get("runPolicy") or {}).get("suspend"))

    @property
    def seen(self) -> bool:
        """Whether the status is about the spec as it is now."""
        return (self.status.observed_generation or 0) >= self.generation

    @property
    def ended(self) -> bool:
        """Whether the job as it is now specified is Complete or Failed."""
        return self.seen and self.status.state in FINAL


def parse(body: Mapping[str, Any]) -> JobResource:
    """The value of an object of the API.

    Raises:
        NewerOperatorError: The status holds values that this fedjob does not know.
    """
    meta = body.get("metadata") or {}
    name, namespace = str(meta.get("name", "")), str(meta.get("namespace", ""))
    try:
        status = FederatedJobStatus.model_validate(body.get("status") or {})
    except ValidationError as error:
        raise NewerOperatorError(
            f"{namespace}/{name}: the status cannot be read ({error.errors()[0]['msg']}); the "
            f"operator is newer than this fedjob: update it (`pip install -U fedjob`)"
        ) from error
    return JobResource(
        name=name,
        namespace=namespace,
        uid=str(meta.get("uid", "")),
        resource_version=str(meta.get("resourceVersion", "")),
        generation=int(meta.get("generation", 0)),
        created=epoch(meta.get("creationTimestamp")) or 0.0,
        deleting=meta.get("deletionTimestamp") is not None,
        annotations=dict(meta.get("annotations") or {}),
        spec=body.get("spec") or {},
        status=status,
    )

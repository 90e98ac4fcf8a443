"""A Pod object reduced to what the operator decides by. Total over whatever the API returns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedjob.formats import epoch
from fedjob.reasons import Reason
from fedjob_operator.naming import CONFIG, CONFIG_PARTS, ORDINAL, Body, annotation

PULL_TROUBLE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
    }
)
START_TROUBLE = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
_STARTING = ("PodInitializing", "ContainerCreating")
"""The kubelet's reasons for a container that waits without trouble."""
_OOM_KILLED = "OOMKilled"
OVERDUE_SECONDS = 2.0
"""A pod that still exists this long after its grace period is on a node that does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """A pod of the job.

    Attributes:
        name: Name of the pod.
        uid: Uid of the pod.
        ordinal: Number of this pod within its slot, from 0.
        config: Hash of the configuration that it was started with.
        config_parts: Hashes of the parts of that configuration, by name; empty for pods of an
            operator that did not write them.
        ip: IP address; empty until it has one.
        node: Node name; empty until it is scheduled.
        phase: Pending, Running, Succeeded, Failed or Unknown.
        ready: Whether its readiness probe passes.
        deleting: End of its grace period, seconds since the epoch; None unless it is being deleted.
        created: When it was created, seconds since the epoch.
        restarts: Restarts of its containers in place.
        oom: Whether the container that trains or averages was OOM-killed, now or last time.
        exit_code: Exit code of the last end of a container; None before the first.
        finished: Time of that end, seconds since the epoch.
        message: Termination message of that end: the end of its log.
        waiting: The kubelet's reason why a container does not run.
        waiting_message: The kubelet's message for that reason.
        unschedulable: Why no node accepts it; empty when one does.
        gated: Whether a scheduling gate holds it, such as Kueue's.
        reason: Why the pod as a whole failed, such as Evicted.
        end_reason: The kubelet's reason for that end.
        disruption: Reason of the condition DisruptionTarget; empty where there is none.
    """

    name: str
    uid: str
    ordinal: int
    config: str
    config_parts: Mapping[str, str] = field(default_factory=dict)
    ip: str = ""
    node: str = ""
    phase: str = "Pending"
    ready: bool = False
    deleting: float | None = None
    created: float = 0.0
    restarts: int = 0
    oom: bool = False
    exit_code: int | None = None
    finished: float = 0.0
    message: str = ""
    waiting: str = ""
    waiting_message: str = ""
    unschedulable: str = ""
    gated: bool = False
    reason: str = ""
    end_reason: str = ""
    disruption: str = ""

    @property
    def ended(self) -> bool:
        """Whether its container has ended for good."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def pull_trouble(self) -> bool:
        """Whether the node cannot pull the image."""
        return self.waiting in PULL_TROUBLE

    @property
    def start_trouble(self) -> bool:
        """Whether the kubelet cannot create the container, for example without a Secret."""
        return self.waiting in START_TROUBLE

    @property
    def last_message(self) -> str:
        """Its last message, in one line of at most 500 characters."""
        left = termination_message(self)
        if left is not None:
            return "; ".join(str(left.get("message") or "").splitlines())[:500]
        lines = [line.strip() for line in self.message.splitlines() if line.strip()]
        return lines[-1][-500:] if lines else ""

    def is_overdue(self, now: float) -> bool:
        """Whether it is being deleted and should no longer exist."""
        return self.deleting is not None and now >= self.deleting + OVERDUE_SECONDS


def view_pod(body: Body) -> PodView:
    """Reads a Pod; fields that are missing get their defaults."""
    meta, status = body["metadata"], body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled", {})
    disrupted = conditions.get("DisruptionTarget", {})
    main = _Container.read(status.get("containerStatuses"))
    # A server's pod has a sidecar, which runs the author's code; pods of release 0.1 have none.
    sidecar = _Container.read(status.get("initContainerStatuses"))
    last, message = main.end, str(main.end.get("message") or "")
    if (epoch(sidecar.end.get("finishedAt")) or 0.0) > (epoch(last.get("finishedAt")) or 0.0):
        # Not as it stands: the author's code can write a message that looks like fedjob's.
        last, message = sidecar.end, f"{sidecar.name}: {sidecar.end.get('message') or ''}"
    waiting = main.waiting
    if sidecar.waiting.get("reason") not in (None, "", *_STARTING):
        waiting = sidecar.waiting
    oom = any(_out_of_memory(end) for end in main.ends)
    if sidecar.exists:
        # The author chooses the memory of the sidecar only; the main container's message still
        # tells of a process that was killed there.
        oom = any(_reported_out_of_memory(end) for end in main.ends)
        oom = oom or any(end.get("reason") == _OOM_KILLED for end in sidecar.ends)
    text = annotation(body, ORDINAL)
    return PodView(
        name=meta["name"],
        uid=str(meta.get("uid", "")),
        ordinal=int(text) if text.isdigit() else 0,
        config=annotation(body, CONFIG),
        config_parts=_parts(annotation(body, CONFIG_PARTS)),
        ip=status.get("podIP") or "",
        node=(body.get("spec") or {}).get("nodeName") or "",
        phase=status.get("phase") or "Pending",
        ready=conditions.get("Ready", {}).get("status") == "True",
        deleting=epoch(meta.get("deletionTimestamp")),
        created=epoch(meta.get("creationTimestamp")) or 0.0,
        restarts=main.restarts + sidecar.restarts,
        oom=oom,
        exit_code=last.get("exitCode"),
        finished=epoch(last.get("finishedAt")) or 0.0,
        message=message,
        waiting=str(waiting.get("reason") or ""),
        waiting_message=str(waiting.get("message") or ""),
        unschedulable=str(scheduled.get("message") or "")
        if scheduled.get("reason") == "Unschedulable"
        else "",
        gated=scheduled.get("reason") == "SchedulingGated",
        reason=str(status.get("reason") or ""),
        end_reason=str(last.get("reason") or ""),
        disruption=str(disrupted.get("reason") or "") if disrupted.get("status") == "True" else "",
    )


@dataclass(frozen=True, slots=True)
class _Container:
    """The first of a list of container statuses; empty where there is none."""

    exists: bool
    name: str
    restarts: int
    ends: list[dict[str, Any]]
    waiting: dict[str, Any]

    @classmethod
    def read(cls, statuses: list[dict[str, Any]] | None) -> _Container:
        """Reads the status fields of a Pod."""
        container: dict[str, Any] = next(iter(statuses or []), {})
        state = container.get("state") or {}
        ends = [part.get("terminated") for part in (state, container.get("lastState") or {})]
        return cls(
            exists=bool(container),
            name=str(container.get("name") or ""),
            restarts=int(container.get("restartCount") or 0),
            ends=[end for end in ends if end],
            waiting=state.get("waiting") or {},
        )

    @property
    def end(self) -> dict[str, Any]:
        """The last end; empty before the first."""
        return self.ends[0] if self.ends else {}


def termination_message(pod: PodView) -> dict[str, Any] | None:
    """Phase, reason and message, where a fedjob process wrote its termination message."""
    return _fedjob_message(pod.message)


def _fedjob_message(text: str) -> dict[str, Any] | None:
    value = _json(text)
    return value if isinstance(value, dict) and "phase" in value else None


def _parts(text: str) -> dict[str, str]:
    value = _json(text)
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _json(text: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError:
        return None
    return value


def _out_of_memory(end: Body) -> bool:
    """Whether the kernel killed the container, or one of its processes, which only fedjob sees."""
    return _reported_out_of_memory(end) or end.get("reason") == _OOM_KILLED


def _reported_out_of_memory(end: Body) -> bool:
    message = _fedjob_message(str(end.get("message") or ""))
    return message is not None and message.get("reason") == Reason.OUT_OF_MEMORY

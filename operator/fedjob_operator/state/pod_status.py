"""What a Pod object says, in the operator's words. Pure and total over whatever the API gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fedjob.reasons import Reason
from fedjob_operator.naming import CONFIG, ORDINAL, Body, annotation
from fedjob_operator.times import epoch

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


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of the job.

    Attributes:
        name: Its name.
        uid: Its uid.
        ordinal: Which start of its site it is.
        config: Hash of what it was started with.
        ip: Empty until it has one.
        node: Empty until it is scheduled.
        phase: Pending, Running, Succeeded, Failed or Unknown.
        ready: Its readiness probe passes.
        deleting: When its grace ends, seconds since the epoch; None unless it is being deleted.
        created: Seconds since the epoch.
        restarts: Of its container, in place.
        oom: Its container ran out of memory, now or last time.
        exit_code: Of the container's last end; None before the first.
        finished: When that was, seconds since the epoch.
        message: What the container left at its last end: the end of its log.
        waiting: Why the container does not run, in the kubelet's words.
        waiting_message: More of it.
        unschedulable: Why no node takes it; empty when one does.
        gated: Somebody has yet to let it be scheduled, such as Kueue.
        reason: Why the pod failed as a whole, such as Evicted.
        end_reason: Why its container ended last, in the kubelet's word.
        disruption: Why the control plane or the kubelet takes it away; empty where nobody said.
    """

    name: str
    uid: str
    ordinal: int
    config: str
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
        """Nothing of it runs any more."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def pull_trouble(self) -> bool:
        """The node cannot get the image."""
        return self.waiting in PULL_TROUBLE

    @property
    def start_trouble(self) -> bool:
        """The kubelet cannot make the container, for example for want of a Secret."""
        return self.waiting in START_TROUBLE

    @property
    def last_words(self) -> str:
        """What it said last, in one line of at most 500 characters."""
        left = left_words(self)
        if left is not None:
            return "; ".join(str(left.get("message") or "").splitlines())[:500]
        lines = [line.strip() for line in self.message.splitlines() if line.strip()]
        return lines[-1][-500:] if lines else ""


def view_pod(body: Body) -> PodView:
    """Reads a Pod; what is missing has its default."""
    meta, status = body["metadata"], body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled", {})
    disrupted = conditions.get("DisruptionTarget", {})
    container: dict[str, Any] = next(iter(status.get("containerStatuses") or []), {})
    state = container.get("state") or {}
    ends = [part.get("terminated") for part in (state, container.get("lastState") or {})]
    ended = [end for end in ends if end]
    waiting = state.get("waiting") or {}
    last: dict[str, Any] = ended[0] if ended else {}
    text = annotation(body, ORDINAL)
    return PodView(
        name=meta["name"],
        uid=str(meta.get("uid", "")),
        ordinal=int(text) if text.isdigit() else 0,
        config=annotation(body, CONFIG),
        ip=status.get("podIP") or "",
        node=(body.get("spec") or {}).get("nodeName") or "",
        phase=status.get("phase") or "Pending",
        ready=conditions.get("Ready", {}).get("status") == "True",
        deleting=epoch(meta.get("deletionTimestamp")),
        created=epoch(meta.get("creationTimestamp")) or 0.0,
        restarts=int(container.get("restartCount") or 0),
        oom=any(_out_of_memory(end) for end in ended),
        exit_code=last.get("exitCode"),
        finished=epoch(last.get("finishedAt")) or 0.0,
        message=str(last.get("message") or ""),
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


def left_words(pod: PodView) -> dict[str, Any] | None:
    """Phase, reason and message, where fedjob itself left them at the container's last end."""
    return _words(pod.message)


def _words(message: str) -> dict[str, Any] | None:
    try:
        value = json.loads(message)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "phase" in value else None


def _out_of_memory(end: Body) -> bool:
    """By the kubelet's word, or by our own where the kernel ended a part of the container alone."""
    words = _words(str(end.get("message") or ""))
    own = words is not None and words.get("reason") == Reason.OUT_OF_MEMORY
    return own or end.get("reason") == "OOMKilled"

"""Which Events a change of a job's status is worth. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fedjob.protocol.server_status import ServerStatus
from fedjob.reasons import Reason
from fedjob.spec.models.status import ConditionType
from fedjob_operator.naming import Body
from fedjob_operator.state.actions import EventNote

_TOLD_WHEN_TRUE = {
    ConditionType.ACCEPTED,
    ConditionType.WORKSPACE_UPLOADED,
    ConditionType.IMAGE_READY,
    ConditionType.SERVER_READY,
    ConditionType.WORKERS_READY,
    ConditionType.COMPLETE,
    ConditionType.FAILED,
    ConditionType.SUSPENDED,
    ConditionType.GPU_FALLBACK,
}
_REASONS = frozenset(reason.value for reason in Reason)


def changes(before: Mapping[str, Any], after: Body) -> Iterator[EventNote]:
    """What a person wants to know of the step from one status to the next.

    A step that is done is told once; a fault of the catalogue is told as a warning when it appears
    or becomes another.
    """
    old = {c["type"]: c for c in before.get("conditions") or []}
    for condition in after.get("conditions") or []:
        was = old.get(condition["type"], {})
        same = (was.get("status"), was.get("reason")) == (condition["status"], condition["reason"])
        if same:
            continue
        fault = condition["reason"] in _REASONS
        if condition["status"] == "True" and was.get("status") != "True":
            if condition["type"] in _TOLD_WHEN_TRUE:
                kind = condition["type"]
                reason = condition["reason"] if fault else kind
                yield EventNote(
                    "Warning" if fault else "Normal", reason, condition["message"] or kind
                )
        elif condition["status"] == "False" and fault:
            yield EventNote("Warning", condition["reason"], condition["message"])
    done = (before.get("rounds") or {}).get("completed", 0)
    rounds = after.get("rounds") or {}
    if rounds.get("completed", 0) > done:
        metric = f", {after['metric']}" if after.get("metric") else ""
        yield EventNote("Normal", "RoundCommitted", f"round {rounds['display']}{metric}")


def forwarded(status: ServerStatus, after: float) -> Iterator[tuple[float, EventNote]]:
    """The server's own events since a time, with theirs."""
    for event in status.events:
        if event.time > after:
            yield event.time, EventNote(event.type, event.reason, event.message)

"""Which Events a change of a job's status is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fedjob.protocol.server_status import ServerStatus
from fedjob.reasons import Reason
from fedjob.spec.models.status import ConditionType
from fedjob_operator.naming import Body
from fedjob_operator.state.actions import EventNote

_EVENT_WHEN_TRUE = {
    ConditionType.ACCEPTED,
    ConditionType.WORKSPACE_UPLOADED,
    ConditionType.IMAGE_READY,
    ConditionType.SERVER_READY,
    ConditionType.WORKERS_READY,
    ConditionType.COMPLETE,
    ConditionType.FAILED,
    ConditionType.SUSPENDED,
    ConditionType.GPU_FALLBACK,
    ConditionType.HINTS,
}
_REASONS = frozenset(reason.value for reason in Reason)


def events_of_change(before: Mapping[str, Any], after: Body) -> Iterator[EventNote]:
    """The Events of a step from one status to the next.

    A condition that becomes true is one Event; a reason of `fedjob.reasons` is a warning when it
    appears or is replaced by another.
    """
    old = {c["type"]: c for c in before.get("conditions") or []}
    for condition in after.get("conditions") or []:
        last = old.get(condition["type"], {})
        yield from _condition_event(last, condition)
    done = (before.get("rounds") or {}).get("completed", 0)
    rounds = after.get("rounds") or {}
    if rounds.get("completed", 0) > done:
        metric = f", {after['metric']}" if after.get("metric") else ""
        yield EventNote("Normal", "RoundCommitted", f"round {rounds['display']}{metric}")


def _condition_event(last: Mapping[str, Any], condition: Mapping[str, Any]) -> Iterator[EventNote]:
    status, reason, kind = condition["status"], condition["reason"], condition["type"]
    if (last.get("status"), last.get("reason")) == (status, reason):
        return
    fault = reason in _REASONS
    if status == "False":
        if fault:
            yield EventNote("Warning", reason, condition["message"])
    elif last.get("status") != "True" and kind in _EVENT_WHEN_TRUE:
        message = condition["message"] or kind
        yield EventNote("Warning", reason, message) if fault else EventNote("Normal", kind, message)


def server_events(status: ServerStatus, after: float) -> Iterator[tuple[float, EventNote]]:
    """The server's own events later than a time, each with its time."""
    for event in status.events:
        if event.time > after:
            yield event.time, EventNote(event.type, event.reason, event.message)

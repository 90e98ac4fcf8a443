"""What happened to a job: the Events about it and its pods, or its conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from fedjob.engines.kubernetes.access import ApiServer
from fedjob.engines.kubernetes.errors import ForbiddenError, Request
from fedjob.engines.kubernetes.resource import JobResource
from fedjob.engines.run_status import RunEvent
from fedjob.formats import epoch

_POD = r"-(server|worker-\d+)(-r\d+)?"
_TROUBLE = frozenset({"Failed", "GpuFallback", "Recovering"})
"""Conditions that are a warning when they are true."""


def events_of(api: ApiServer, job: JobResource) -> list[RunEvent]:
    """The events of a job, the oldest first; its conditions where Events may not be read."""
    kinds = ("FederatedJob", "Pod")
    try:
        found = [item for kind in kinds for item in _listed(api, job.namespace, kind, job.name)]
    except ForbiddenError:
        return conditions_of(job)
    about = re.compile(re.escape(job.name) + _POD)
    chosen = []
    for item in found:
        involved = item.get("involvedObject") or {}
        name = str(involved.get("name", ""))
        if involved.get("kind") == "FederatedJob":
            # An event of an earlier job of the same name is not about this one.
            if name == job.name and involved.get("uid", job.uid) == job.uid:
                chosen.append(_event(item, ""))
        elif about.fullmatch(name):
            chosen.append(_event(item, name))
    return sorted(chosen, key=lambda event: event.time)


def conditions_of(job: JobResource) -> list[RunEvent]:
    """The conditions of a job that say something, as events."""
    return sorted(
        (
            RunEvent(
                time=_time(condition.last_transition_time),
                type="Warning" if condition.type in _TROUBLE else "Normal",
                reason=condition.reason,
                message=f"{condition.type}: {condition.message}".removesuffix(": "),
            )
            for condition in job.status.conditions or ()
            if condition.status == "True"
        ),
        key=lambda event: event.time,
    )


def _listed(api: ApiServer, namespace: str, kind: str, name: str) -> Iterable[dict[str, Any]]:
    selector = f"involvedObject.kind={kind}"
    if kind == "FederatedJob":
        selector += f",involvedObject.name={name}"
    token = ""
    while True:
        page = api.json(
            "GET",
            f"/api/v1/namespaces/{namespace}/events",
            Request("list", "events", namespace),
            query={
                "fieldSelector": selector,
                "limit": "500",
                **({"continue": token} if token else {}),
            },
        )
        yield from page.get("items", [])
        token = str((page.get("metadata") or {}).get("continue") or "")
        if not token:
            return


def _event(item: dict[str, Any], about: str) -> RunEvent:
    series = item.get("series") or {}
    moment = (
        series.get("lastObservedTime") or item.get("lastTimestamp") or item.get("eventTime")
        or (item.get("metadata") or {}).get("creationTimestamp")
    )  # fmt: skip
    kind: Literal["Normal", "Warning"] = "Warning" if item.get("type") == "Warning" else "Normal"
    return RunEvent(
        time=_time(moment),
        type=kind,
        reason=str(item.get("reason") or "Event"),
        message=" ".join(str(item.get("message") or "").split()),
        about=about,
        count=max(int(series.get("count") or item.get("count") or 1), 1),
    )


def _time(text: str | None) -> datetime:
    return datetime.fromtimestamp(epoch(text) or 0.0, UTC)

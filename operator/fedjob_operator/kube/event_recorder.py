"""Kubernetes Events, for `kubectl describe fj`: a repeated event is one object with a count."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable

from fedjob.formats import rfc3339
from fedjob.spec.models.job import API_VERSION, KIND
from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.naming import MANAGER, Body
from fedjob_operator.state.actions import EventNote

AGAIN_SECONDS = 60.0
"""An event that is repeated within this time is written once."""
LONGEST_MESSAGE = 1000
MOST_KEPT = 4096
"""Events whose count is kept."""

_log = logging.getLogger("fedjob.events")


def event_name(job: Body, note: EventNote) -> str:
    """Equal for equal events of the same job, also in another process."""
    text = "\0".join([str(job["metadata"].get("uid")), note.type, note.reason, note.message])
    return f"{job['metadata']['name']}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def event_body(job: Body, note: EventNote, count: int, first: float, last: float) -> Body:
    """The Event object.

    Args:
        job: The job that it is about.
        note: Type, reason and message.
        count: How often it occurred.
        first: When it first occurred, seconds since the epoch.
        last: When it last occurred, seconds since the epoch.
    """
    meta = job["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event_name(job, note), "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta.get("uid"),
        },
        "type": note.type,
        "reason": note.reason,
        "message": note.message[:LONGEST_MESSAGE],
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "count": count,
        "firstTimestamp": rfc3339(first),
        "lastTimestamp": rfc3339(last),
    }


class EventWriter:
    """Writes Events; an Event that cannot be written is logged and dropped."""

    def __init__(self, cluster: Cluster, *, now: Callable[[], float] = time.time) -> None:
        self._cluster, self._now = cluster, now
        self._written: dict[str, tuple[int, float, float]] = {}

    async def write(self, job: Body, note: EventNote) -> None:
        """Writes an event, unless an equal one was written within AGAIN_SECONDS."""
        now, name = self._now(), event_name(job, note)
        count, first, last = self._written.get(name, (0, now, 0.0))
        if now - last < AGAIN_SECONDS:
            return
        while len(self._written) >= MOST_KEPT:
            self._written.pop(next(iter(self._written)))
        self._written[name] = (count + 1, first, now)
        try:
            await self._cluster.apply(event_body(job, note, count + 1, first, now))
        except ApiError as error:
            _log.warning(str(error), extra={"job": job["metadata"]["name"]})

"""Kubernetes Events, for `kubectl describe fj`: one object for what is said again and again."""

from __future__ import annotations

import hashlib
import logging
import time

from fedjob.spec.models.job import API_VERSION, KIND
from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.naming import MANAGER, Body
from fedjob_operator.state.actions import EventNote
from fedjob_operator.times import rfc3339

AGAIN_SECONDS = 60.0
"""What is repeated within this time is counted once."""
LONGEST_MESSAGE = 1000
KEPT = 4096

_log = logging.getLogger("fedjob.events")


def event_name(job: Body, news: EventNote) -> str:
    """The same for the same words about the same job, also in another process."""
    text = "\0".join([str(job["metadata"].get("uid")), news.type, news.reason, news.message])
    return f"{job['metadata']['name']}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def event_body(job: Body, news: EventNote, count: int, first: float, last: float) -> Body:
    """The Event."""
    meta = job["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event_name(job, news), "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta.get("uid"),
        },
        "type": news.type,
        "reason": news.reason,
        "message": news.message[:LONGEST_MESSAGE],
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "count": count,
        "firstTimestamp": rfc3339(first),
        "lastTimestamp": rfc3339(last),
    }


class EventWriter:
    """Writes Events; one that cannot be written is logged and left."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._said: dict[str, tuple[int, float, float]] = {}

    async def write(self, job: Body, news: EventNote) -> None:
        """Tells a piece of news, unless it was told within AGAIN_SECONDS."""
        now, name = time.time(), event_name(job, news)
        count, first, last = self._said.get(name, (0, now, 0.0))
        if now - last < AGAIN_SECONDS:
            return
        while len(self._said) >= KEPT:
            self._said.pop(next(iter(self._said)))
        self._said[name] = (count + 1, first, now)
        try:
            await self._cluster.apply(event_body(job, news, count + 1, first, now))
        except ApiError as error:
            _log.warning(str(error), extra={"job": job["metadata"]["name"]})

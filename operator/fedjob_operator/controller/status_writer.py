"""Writes statuses and the Events of their changes, no more often than needed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fedjob.spec.models.job import API_VERSION, KIND
from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.kube.event_recorder import EventWriter
from fedjob_operator.metrics import STATUS_WRITES
from fedjob_operator.naming import Body, Key
from fedjob_operator.planning.event_rules import events_of_change, server_events
from fedjob_operator.planning.status_writes import write_delay
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.cache import Cache

_log = logging.getLogger("fedjob.status")


class StatusWriter:
    """Publishes what the plan decided about a job.

    Args:
        cluster: The API server.
        cache: Gets the API server's answers.
        events: Writes Events.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        events: EventWriter,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._cache, self._events = cluster, cache, events
        self._clock = clock
        self._written: dict[Key, float] = {}
        self._forwarded: dict[Key, float] = {}

    def forget(self, key: Key) -> None:
        """Drops what is kept about a job that is gone."""
        self._written.pop(key, None)
        self._forwarded.pop(key, None)

    async def write(self, key: Key, body: Body, status: Body | None) -> float | None:
        """Writes a status where it differs, and the Events of the difference.

        Args:
            key: The job's key.
            body: The job as it was read.
            status: Its status as it should be; None where it stays.

        Returns:
            Seconds until it should be written, where it is too early; None where it is done.

        Raises:
            ApiError: The API server refused it; a job that has changed is read again first.
        """
        if status is None:
            return None
        before, now = body.get("status") or {}, self._clock()
        since = now - self._written[key] if key in self._written else float("inf")
        wait = write_delay(before, status, since)
        if wait is None or wait > 0:
            return wait
        try:
            answer = await self._cluster.apply_status(body, status)
        except ApiError as error:
            if error.code in (404, 409):
                await self._read_again(key, body)
            raise
        self._written[key] = now
        STATUS_WRITES.inc()
        self._cache.saw_job(answer)
        for event in events_of_change(before, status):
            await self._events.write(body, event)
        return None

    async def write_events(self, key: Key, body: Body, actions: Actions) -> None:
        """Writes and logs the plan's Events, and forwards the server's new ones."""
        for event in actions.events:
            _log.info(event.message, extra={"job": "/".join(key), "reason": event.reason})
            await self._events.write(body, event)
        server = self._cache.observations(key).server
        if server is None:
            return
        for moment, event in server_events(server.status, self._forwarded.get(key, 0.0)):
            self._forwarded[key] = max(self._forwarded.get(key, 0.0), moment)
            await self._events.write(body, event)

    async def _read_again(self, key: Key, body: Body) -> None:
        """Reads a job that differs from what was seen: its event is late, or lost."""
        found = await self._cluster.get(API_VERSION, KIND, *key)
        if found is None or found["metadata"]["uid"] != body["metadata"]["uid"]:
            self._cache.saw_job(body, deleted=True)
        if found is not None:
            self._cache.saw_job(found)

"""Carries out what the plan decided, in a crash-safe order. Nothing is decided here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.metrics import POD_STARTS
from fedjob_operator.naming import COMPONENT, SERVER, Body, Key, owner_uid
from fedjob_operator.planning.desired import key_of
from fedjob_operator.planning.running_job import FOREIGN_OWNER_SECONDS, NAME_CONFLICT_SECONDS
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.cache import Cache

_log = logging.getLogger("fedjob.executor")


class Executor:
    """Carries out the actions for one job after another.

    Args:
        cluster: The API server.
        cache: Gets the API server's answers.
        now: Seconds since the epoch.
    """

    def __init__(
        self, cluster: Cluster, cache: Cache, *, now: Callable[[], float] = time.time
    ) -> None:
        self._cluster, self._cache, self._now = cluster, cache, now

    async def carry_out(self, key: Key, uid: str, actions: Actions) -> None:
        """Deletes other objects, creates, applies, writes the record, deletes pods.

        Crash-safe order: create pods, write the record, delete pods. A crash before the record
        leaves pods that reveal what was created; a crash before the deletes leaves a record that
        already names the successor, so no restart is counted.

        Args:
            key: The job's key.
            uid: The job's uid.
            actions: The plan.

        Raises:
            ApiError: At the first call that is refused; a later plan does the rest.
        """
        pods = [body for body in actions.delete if body["kind"] == "Pod"]
        for body in actions.delete:
            if body["kind"] != "Pod":
                await self._delete(body)
        for body in actions.create:
            await self._create(key, uid, body)
        for body in actions.apply:
            await self._apply(key, body, actions.drift.get(key_of(body), ""))
        if actions.record is not None:
            if key_of(actions.record) in self._cache.observe(key).children:
                self._cache.saw_child("ConfigMap", await self._cluster.apply(actions.record))
            else:
                await self._create(key, uid, actions.record)
        for body in pods:
            await self._delete(body)

    async def _apply(self, key: Key, body: Body, why: str) -> None:
        name = f"{body['kind']} {body['metadata']['name']}"
        _log.info(f"writing {name} again: {why}", extra={"job": "/".join(key)})
        self._cache.saw_child(body["kind"], await self._cluster.apply(body))

    async def _delete(self, body: Body) -> None:
        left = await self._cluster.delete(body)
        self._cache.saw_child(body["kind"], left or body, deleted=left is None)

    async def _create(self, key: Key, uid: str, body: Body) -> None:
        try:
            answer = await self._cluster.create(body)
        except ApiError as error:
            if error.status_reason != "AlreadyExists":
                raise
            meta = body["metadata"]
            found = await self._cluster.get(
                body["apiVersion"], body["kind"], meta["namespace"], meta["name"]
            )
            if found is None:
                raise  # deleted in between: the next try creates it
            if owner_uid(found) != uid:
                known = self._cache.observations(key).name_conflicts
                # Objects of a deleted job of this name disappear soon; others stay.
                seconds = (
                    NAME_CONFLICT_SECONDS if owner_uid(found) is None else FOREIGN_OWNER_SECONDS
                )
                until = self._now() + seconds
                self._cache.learn(key, name_conflicts={**known, key_of(body): until})
                return
            answer = found
        self._cache.saw_child(body["kind"], answer)
        if body["kind"] == "Pod":
            component = body["metadata"]["labels"][COMPONENT]
            POD_STARTS.labels(component).inc()
            if component == SERVER:
                # The log of rounds was read before this server started, so it is out of date.
                self._cache.learn(key, log_status=None)

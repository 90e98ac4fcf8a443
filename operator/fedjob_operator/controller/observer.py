"""Completes the cache before a job is planned: children, GPUs of nodes, pods that are overdue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from fedjob.spec.models.job import FederatedJob
from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.naming import Body, Key, record_name, secret_names, worker_names
from fedjob_operator.resources.pods import GPU
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.pod_status import view_pod
from fedjob_operator.state.record import read_record

GPU_SECONDS = 60.0
"""How long a count of the nodes' GPUs is used."""


class Observer:
    """Reads from the API server what watch events do not bring.

    Each method tells whether the job is still the same one, since it may be deleted while the API
    server is asked.

    Args:
        cluster: The API server.
        cache: Gets what was read.
        now: Seconds since the epoch.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._cache = cluster, cache
        self._now, self._clock = now, clock
        self._overdue: dict[Key, frozenset[str]] = {}
        self._gpus: tuple[float, int | None] | None = None

    def forget(self, key: Key) -> None:
        """Drops what is kept about a job that is gone."""
        self._overdue.pop(key, None)

    def is_still(self, key: Key, uid: str) -> bool:
        """Whether the job has not been deleted or replaced."""
        body = self._cache.job(key)
        return body is not None and str(body["metadata"]["uid"]) == uid

    async def list_children(self, key: Key, uid: str) -> bool:
        """Lists the job's children, once for each job and process.

        Raises:
            ApiError: The call failed.
        """
        if self._cache.is_listed(uid):
            return True
        children = await self._cluster.children(*key)
        children += await self._secrets(key, children)
        if not self.is_still(key, uid):
            return False
        self._cache.list_children(key, uid, children)
        return True

    async def _secrets(self, key: Key, children: Iterable[Body]) -> list[Body]:
        """The job's Secrets, by the workers that its record names.

        Those of a job whose record was not written yet are found when they are created again.
        """
        namespace, name = key
        named = {(body["kind"], body["metadata"]["name"]): body for body in children}
        body = named.get(("ConfigMap", record_name(name)))
        if body is None:
            return []
        record = read_record(body)
        count = len(record.prepared.workers) if record.prepared is not None else 0
        workers = sorted({*worker_names(count), *record.workers})
        return await self._cluster.secrets(namespace, secret_names(name, workers))

    async def observe(self, key: Key, job: FederatedJob) -> bool:
        """Counts GPUs where the job asks for some, and looks for pods that are overdue.

        Raises:
            ApiError: A call failed.
        """
        uid = str(job.metadata.uid)
        if job.spec.workers.gpu:
            gpus = await self._count_gpus()
            if not self.is_still(key, uid):
                return False
            self._cache.learn(key, gpus=gpus)
        await self._look_for_overdue(key)
        return self.is_still(key, uid)

    async def _look_for_overdue(self, key: Key) -> None:
        """Asks once for each pod that should no longer exist."""
        overdue = {
            str(body["metadata"]["uid"]): body
            for (kind, _), body in self._cache.observe(key).children.items()
            if kind == "Pod" and view_pod(body).is_overdue(self._now())
        }
        known = self._overdue.get(key, frozenset())
        fresh = [body for uid, body in overdue.items() if uid not in known]
        await look_for_overdue(self._cluster, self._cache, fresh)
        self._overdue[key] = frozenset(overdue)

    async def _count_gpus(self) -> int | None:
        """The most GPUs that any node offers; None where the operator may not list nodes."""
        if self._gpus is not None and self._clock() - self._gpus[0] < GPU_SECONDS:
            return self._gpus[1]
        found: int | None = None
        try:
            # A node has up to 30 KB, and a cluster thousands of them.
            pages = self._cluster.pages("v1", "Node", limit=100)
            most = 0
            async for node in pages:
                most = max(most, gpus_of(node))
        except ApiError as error:
            if error.code != 403:
                raise
        else:
            found = most
        self._gpus = (self._clock(), found)
        return found


async def look_for_overdue(cluster: Cluster, cache: Cache, pods: Iterable[Body]) -> None:
    """Asks for pods that should no longer exist: the event of their deletion may be lost.

    Without this, a pod that was just deleted would look like one on a node that does not answer.

    Raises:
        ApiError: A call failed.
    """
    for body in pods:
        meta = body["metadata"]
        found = await cluster.get("v1", "Pod", meta["namespace"], meta["name"])
        if found is None or found["metadata"]["uid"] != meta["uid"]:
            cache.saw_child("Pod", body, deleted=True)
        if found is not None:
            cache.saw_child("Pod", found)


def gpus_of(node: Body) -> int:
    """GPUs that a node offers to pods; 0 where it accepts no pods."""
    if (node.get("spec") or {}).get("unschedulable"):
        return 0
    text = str(((node.get("status") or {}).get("allocatable") or {}).get(GPU, "0"))
    return int(text) if text.isdigit() else 0

"""Compares the cache with the cluster: events can be lost, above all those of deletions."""

from __future__ import annotations

from collections.abc import Iterable

from fedjob.spec.models.job import API_VERSION, KIND
from fedjob_operator.kube.client import WATCHED, Cluster
from fedjob_operator.naming import JOB, Body
from fedjob_operator.state.cache import Cache


async def relist(cluster: Cluster, cache: Cache, namespaces: Iterable[str]) -> None:
    """Lists jobs and children, and takes in what no event announced; a few calls a namespace.

    Args:
        cluster: The API server.
        cache: What is known about jobs.
        namespaces: The namespaces to serve; none: the whole cluster.

    Raises:
        ApiError: A call failed; what was listed before it is in the cache.
    """
    for namespace in list(namespaces) or [""]:
        known = _within(namespace, cache.all_jobs())
        there = await cluster.list_all(API_VERSION, KIND, namespace)
        for body in there:
            cache.saw_job(body)
        for body in await _deleted(cluster, API_VERSION, KIND, known, there):
            cache.saw_job(body, deleted=True)
        for kind, version in WATCHED.items():
            known = _within(namespace, cache.all_children(kind))
            there = await cluster.list_all(version, kind, namespace, JOB)
            for body in there:
                cache.saw_child(kind, body)
            for body in await _deleted(cluster, version, kind, known, there):
                cache.saw_child(kind, body, deleted=True)
        await _read_secrets(cluster, cache, _within(namespace, cache.all_children("Secret")))


async def _read_secrets(cluster: Cluster, cache: Cache, known: Iterable[Body]) -> None:
    """Reads each known Secret by its name: they are neither listed nor watched."""
    by_namespace: dict[str, list[Body]] = {}
    for body in known:
        by_namespace.setdefault(body["metadata"]["namespace"], []).append(body)
    for namespace, bodies in by_namespace.items():
        there = await cluster.secrets(namespace, [body["metadata"]["name"] for body in bodies])
        uids = {body["metadata"]["uid"] for body in there}
        for body in bodies:
            if body["metadata"]["uid"] not in uids:
                cache.saw_child("Secret", body, deleted=True)
        for body in there:
            cache.saw_child("Secret", body)


def _within(namespace: str, bodies: Iterable[Body]) -> list[Body]:
    return [body for body in bodies if namespace in ("", body["metadata"]["namespace"])]


async def _deleted(
    cluster: Cluster, version: str, kind: str, known: Iterable[Body], there: Iterable[Body]
) -> list[Body]:
    """Known objects that are not listed: each is read, since it may be younger than the list."""
    uids = {body["metadata"]["uid"] for body in there}
    deleted = []
    for body in known:
        meta = body["metadata"]
        if meta["uid"] not in uids:
            found = await cluster.get(version, kind, meta["namespace"], meta["name"])
            if found is None or found["metadata"]["uid"] != meta["uid"]:
                deleted.append(body)
    return deleted

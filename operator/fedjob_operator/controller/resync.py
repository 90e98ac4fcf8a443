"""What was seen, compared with what is there: events can be lost, above all those of deletions."""

from __future__ import annotations

from collections.abc import Iterable

from fedjob.spec.models.job import API_VERSION, KIND
from fedjob_operator.kube.client import VERSIONS, Cluster
from fedjob_operator.naming import JOB, Body
from fedjob_operator.state.cache import Cache


async def relist(cluster: Cluster, world: Cache, namespaces: Iterable[str]) -> None:
    """Lists jobs and children, and takes in what no event told of; a few calls a namespace.

    Args:
        cluster: The API server.
        world: What has been seen.
        namespaces: Those to serve; none: the whole cluster.

    Raises:
        ApiError: A call failed; what was listed before it is taken in.
    """
    for namespace in list(namespaces) or [""]:
        known = _within(namespace, world.all_jobs())
        there = await cluster.list_all(API_VERSION, KIND, namespace)
        for body in there:
            world.saw_job(body)
        for body in await _gone(cluster, API_VERSION, KIND, known, there):
            world.saw_job(body, deleted=True)
        for kind, version in VERSIONS.items():
            known = _within(namespace, world.all_children(kind))
            there = await cluster.list_all(version, kind, namespace, JOB)
            for body in there:
                world.saw_child(kind, body)
            for body in await _gone(cluster, version, kind, known, there):
                world.saw_child(kind, body, deleted=True)


async def look_for_overdue(cluster: Cluster, world: Cache, pods: Iterable[Body]) -> None:
    """Asks for pods that should have gone by now: word of the end of one may have been lost.

    Without it, a pod that was just deleted would be taken for one whose node does not answer.

    Raises:
        ApiError: A call failed.
    """
    for body in pods:
        meta = body["metadata"]
        found = await cluster.get("v1", "Pod", meta["namespace"], meta["name"])
        if found is None or found["metadata"]["uid"] != meta["uid"]:
            world.saw_child("Pod", body, deleted=True)
        if found is not None:
            world.saw_child("Pod", found)


def _within(namespace: str, bodies: Iterable[Body]) -> list[Body]:
    return [body for body in bodies if namespace in ("", body["metadata"]["namespace"])]


async def _gone(
    cluster: Cluster, version: str, kind: str, known: Iterable[Body], there: Iterable[Body]
) -> list[Body]:
    """What is known and not there: asked for one by one, because it may be younger than a list."""
    uids = {body["metadata"]["uid"] for body in there}
    ended = []
    for body in known:
        meta = body["metadata"]
        if meta["uid"] not in uids:
            found = await cluster.get(version, kind, meta["namespace"], meta["name"])
            if found is None or found["metadata"]["uid"] != meta["uid"]:
                ended.append(body)
    return ended

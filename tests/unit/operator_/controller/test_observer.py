"""What is read from the API server before a job is planned."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fedjob_operator.controller.observer import Observer, gpus_of, look_for_overdue
from fedjob_operator.kube.client import ApiError
from fedjob_operator.naming import Body, secret_names
from fedjob_operator.planning.store_access import split_uri
from fedjob_operator.resources.configmaps import record_map
from fedjob_operator.resources.secrets import kit_secret
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.record import Record
from support.operator.memory_cluster import MemoryCluster
from support.operator.samples import (
    DEFAULTS,
    NOW,
    UID,
    a_job,
    observed_of,
    prepared_of,
    resource,
)

KEY = ("team", "digits")


def pod(version: int, uid: str = "p") -> Body:
    labels = {"fedjob.dev/job": "digits"}
    meta = {"name": "digits-server", "namespace": "team", "uid": uid, "labels": labels}
    return {"metadata": {**meta, "resourceVersion": str(version)}}


@pytest.mark.parametrize(
    ("found", "left"), [(None, 0), (pod(9, "another"), 1), (pod(9), 1)], ids=["gone", "new", "same"]
)
def test_overdue_pod_is_read_from_the_api_server(found: Body | None, left: int) -> None:
    asked: list[str] = []

    class OnePod:
        async def get(self, version: str, kind: str, namespace: str, name: str) -> Body | None:
            asked.append(f"{version} {kind} {namespace}/{name}")
            return found

    cache = Cache(DEFAULTS)
    cache.saw_job(observed_of(a_job()).body)
    cache.saw_child("Pod", pod(3))
    cluster: Any = OnePod()
    asyncio.run(look_for_overdue(cluster, cache, [pod(3)]))
    assert asked == ["v1 Pod team/digits-server"]
    children = cache.observe(KEY).children
    assert len(children) == left
    if found is not None:
        assert children["Pod", "digits-server"]["metadata"]["uid"] == found["metadata"]["uid"]


def test_gpus_are_counted_on_schedulable_nodes() -> None:
    node: Body = {"status": {"allocatable": {"nvidia.com/gpu": "4"}}}
    assert gpus_of(node) == 4
    assert gpus_of({**node, "spec": {"unschedulable": True}}) == 0
    assert gpus_of({}) == 0
    assert split_uri("s3://bucket/a/b") == ("bucket", "a/b")


FORBIDDEN = ApiError("GET /nodes", 403, "Forbidden", "no")


class Bench:
    """An observer with an API server in memory, at a time that a test sets."""

    def __init__(self, **spec: Any) -> None:
        self.job = a_job(**spec)
        self.now = NOW
        self.cluster, self.cache = MemoryCluster(), Cache(DEFAULTS)
        self.cache.saw_job(resource(self.job))
        cluster: Any = self.cluster
        self.observer = Observer(cluster, self.cache, now=self.time, clock=self.time)

    def time(self) -> float:
        return self.now

    def observe(self) -> bool:
        return asyncio.run(self.observer.observe(KEY, self.job))

    def delete_job(self) -> None:
        body = self.cache.job(KEY)
        assert body is not None
        self.cache.saw_job(body, deleted=True)


def node(name: str, gpus: str) -> Body:
    allocatable = {"nvidia.com/gpu": gpus}
    return {"kind": "Node", "metadata": {"name": name}, "status": {"allocatable": allocatable}}


def test_most_gpus_of_one_node_are_counted_once_a_minute() -> None:
    bench = Bench(workers={"gpu": 1})
    bench.cluster.put(node("a", "2"))
    bench.cluster.put(node("b", "4"))
    assert bench.observe()
    assert bench.cache.observations(KEY).gpus == 4
    bench.cluster.put(node("c", "8"))
    bench.now += 59
    bench.observe()
    assert bench.cache.observations(KEY).gpus == 4
    bench.now += 1
    bench.observe()
    assert bench.cache.observations(KEY).gpus == 8


def test_no_node_at_all_offers_no_gpu() -> None:
    bench = Bench(workers={"gpu": 1})
    assert bench.observe()
    assert bench.cache.observations(KEY).gpus == 0


def test_gpus_are_unknown_where_nodes_may_not_be_listed() -> None:
    bench = Bench(workers={"gpu": 1})
    bench.cluster.errors["list Node"] = FORBIDDEN
    assert bench.observe()
    assert bench.cache.observations(KEY).gpus is None
    bench.observe()
    assert bench.cluster.calls == ["list Node"]


def test_failing_list_of_nodes_is_an_error() -> None:
    bench = Bench(workers={"gpu": 1})
    bench.cluster.errors["list Node"] = ApiError("GET /nodes", 500, "InternalError", "no")
    with pytest.raises(ApiError):
        bench.observe()


def test_job_deleted_while_it_is_observed_is_noticed() -> None:
    bench = Bench(workers={"gpu": 1})
    bench.cluster.during["list Node"] = bench.delete_job
    assert not bench.observe()
    bench = Bench()
    bench.cluster.during["children digits"] = bench.delete_job
    assert not asyncio.run(bench.observer.list_children(KEY, UID))


def test_children_are_listed_once_for_each_job() -> None:
    bench = Bench()
    bench.cluster.put({**pod(1), "kind": "Pod"})
    for _ in range(2):
        assert asyncio.run(bench.observer.list_children(KEY, UID))
    assert bench.cluster.calls == ["children digits"]
    assert ("Pod", "digits-server") in bench.cache.observe(KEY).children


def test_secrets_of_a_job_are_read_by_the_workers_of_its_record() -> None:
    """After a restart of the operator, which may list no Secrets."""
    bench, job = Bench(), a_job()
    bench.cluster.put(record_map(job, Record(prepared=prepared_of(job, workers=1))))
    bench.cluster.put(kit_secret(job, "worker-0", "set", {"a": b"b"}))
    bench.cluster.put({**kit_secret(job, "worker-1", "set", {}), "kind": "Secret"})
    assert asyncio.run(bench.observer.list_children(KEY, UID))
    assert ("Secret", "digits-kit-worker-0") in bench.cache.observe(KEY).children
    asked = {call.removeprefix("get Secret ") for call in bench.cluster.calls[1:]}
    assert asked == set(secret_names("digits", ["worker-0"]))


def test_overdue_pod_is_asked_for_once() -> None:
    bench = Bench()
    leaving = pod(1)
    leaving["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:00Z"
    bench.cluster.put({**leaving, "kind": "Pod"})
    bench.cache.saw_child("Pod", leaving)
    bench.now = NOW + 1
    bench.observe()
    assert bench.cluster.calls == []
    bench.now = NOW + 2
    bench.observe()
    bench.observe()
    assert bench.cluster.calls == ["get Pod digits-server"]
    bench.observer.forget(KEY)
    bench.observe()
    assert bench.cluster.calls == ["get Pod digits-server"] * 2

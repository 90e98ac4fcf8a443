"""The cache is compared with the cluster: lost events are made up for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from fedjob_operator.controller.resync import relist
from fedjob_operator.kube.client import ApiError
from fedjob_operator.naming import Body
from fedjob_operator.resources.secrets import kit_secret
from fedjob_operator.resources.services import service
from fedjob_operator.state.cache import Cache
from support.operator.memory_cluster import MemoryCluster
from support.operator.samples import DEFAULTS, a_job, resource

KEY = ("team", "digits")


def bench() -> tuple[MemoryCluster, Cache]:
    """A job with a Service, known to the cache."""
    cluster, cache = MemoryCluster(resource(a_job()), service(a_job())), Cache(DEFAULTS)
    cache.saw_job(cluster.objects["FederatedJob", "digits"])
    cache.saw_child("Service", cluster.objects["Service", "digits-server"])
    return cluster, cache


def resync(cluster: Any, cache: Cache, namespaces: Iterable[str] = ()) -> None:
    asyncio.run(relist(cluster, cache, namespaces))


def test_new_and_changed_objects_are_taken_in() -> None:
    cluster, cache = bench()
    changed = cluster.put({**cluster.objects["Service", "digits-server"], "spec": {"new": 1}})
    cluster.put(resource(a_job("other")))
    resync(cluster, cache)
    assert cache.observe(KEY).children["Service", "digits-server"] == changed
    assert sorted(cache.all_keys()) == [("team", "digits"), ("team", "other")]


def test_deleted_objects_are_dropped() -> None:
    cluster, cache = bench()
    del cluster.objects["Service", "digits-server"]
    resync(cluster, cache)
    assert cache.observe(KEY).children == {}
    del cluster.objects["FederatedJob", "digits"]
    resync(cluster, cache)
    assert cache.all_keys() == []


def test_object_younger_than_the_list_is_kept() -> None:
    """It is read by name before it is taken for deleted."""
    cluster, cache = bench()
    young = cluster.objects.pop(("Service", "digits-server"))
    put_back: Any = lambda: cluster.objects.update({("Service", "digits-server"): young})  # noqa: E731
    cluster.during["get Service digits-server"] = put_back
    resync(cluster, cache)
    assert ("Service", "digits-server") in cache.observe(KEY).children


def test_successor_of_the_same_name_replaces_a_deleted_object() -> None:
    cluster, cache = bench()
    old = cluster.objects.pop(("Service", "digits-server"))
    successor: Body = {**old, "metadata": {**old["metadata"], "uid": "next"}}
    cluster.put(successor)
    resync(cluster, cache)
    child = cache.observe(KEY).children["Service", "digits-server"]
    assert child["metadata"]["uid"] == "next"


def test_only_served_namespaces_are_compared() -> None:
    cluster, cache = bench()
    cluster.objects.clear()
    resync(cluster, cache, ["elsewhere"])
    assert cache.all_keys() == [KEY]
    resync(cluster, cache, ["elsewhere", "team"])
    assert cache.all_keys() == []


def test_what_was_listed_before_an_error_is_kept() -> None:
    cluster, cache = bench()
    cluster.put(resource(a_job("other")))
    cluster.errors["list Pod"] = ApiError("GET /pods", 500, "InternalError", "no")
    with pytest.raises(ApiError):
        resync(cluster, cache)
    assert ("team", "other") in cache.all_keys()


def test_secrets_are_compared_by_name() -> None:
    cluster, cache = bench()
    kept = cluster.put(kit_secret(a_job(), "server", "set", {"a": b"b"}))
    gone = cluster.put(kit_secret(a_job(), "admin", "set", {"a": b"b"}))
    for body in (kept, gone):
        cache.saw_child("Secret", body)
    del cluster.objects["Secret", "digits-kit-admin"]
    changed = cluster.put({**kept, "data": {}})
    resync(cluster, cache)
    children = cache.observe(KEY).children
    assert children["Secret", "digits-kit-server"] == changed
    assert ("Secret", "digits-kit-admin") not in children
    assert "list Secret" not in cluster.calls

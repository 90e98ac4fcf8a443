"""Plans are carried out in a crash-safe order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from fedjob_operator.controller.executor import Executor
from fedjob_operator.kube.client import ApiError
from fedjob_operator.naming import COMPONENT, Body
from fedjob_operator.planning.desired import key_of
from fedjob_operator.planning.running_job import FOREIGN_OWNER_SECONDS, NAME_CONFLICT_SECONDS
from fedjob_operator.resources.configmaps import record_map
from fedjob_operator.resources.pods import server_pod, worker_pod
from fedjob_operator.resources.services import service
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.record import Record
from support.operator.memory_cluster import MemoryCluster
from support.operator.samples import DEFAULTS, NOW, UID, a_job, a_start, a_status, resource


def test_pods_are_created_before_the_record_and_deleted_after_it() -> None:
    calls = []

    class Recorder:
        """In place of the API and of what is observed."""

        children: Mapping[Any, Body] = {}

        async def delete(self, body: Body) -> None:
            calls.append(f"delete {body['metadata']['name']}")

        async def create(self, body: Body) -> Body:
            calls.append(f"create {body['metadata']['name']}")
            return body

        def observe(self, key: object) -> Recorder:
            return self

        def saw_child(self, kind: str, body: Body, *, deleted: bool = False) -> None:
            """Nothing to keep."""

    def named(kind: str, name: str) -> Body:
        meta = {"name": name, "namespace": "default", "labels": {COMPONENT: "worker"}}
        return {"kind": kind, "metadata": meta}

    both: Any = Recorder()
    actions = Actions(
        delete=(named("Pod", "old"), named("Secret", "unwanted")),
        create=(named("Pod", "new"),),
        record=named("ConfigMap", "record"),
    )
    asyncio.run(Executor(both, both).carry_out(("default", "digits"), "uid", actions))
    assert calls == ["delete unwanted", "create new", "create record", "delete old"]


KEY = ("team", "digits")


class Bench:
    """An executor with an API server in memory, and a cache that knows the job."""

    def __init__(self) -> None:
        self.cluster, self.cache = MemoryCluster(), Cache(DEFAULTS)
        self.cache.saw_job(resource(a_job()))
        cluster: Any = self.cluster
        self.executor = Executor(cluster, self.cache, now=lambda: NOW)

    def carry_out(self, **actions: Any) -> None:
        asyncio.run(self.executor.carry_out(KEY, UID, Actions(**actions)))

    @property
    def children(self) -> set[tuple[str, str]]:
        return set(self.cache.observe(KEY).children)


def test_answers_are_in_the_cache_at_once() -> None:
    bench = Bench()
    body = service(a_job())
    bench.carry_out(create=(body,))
    assert bench.children == {("Service", "digits-server")}
    known = bench.cache.observe(KEY).children["Service", "digits-server"]
    bench.carry_out(apply=(body,), drift={key_of(body): "spec differs"})
    later = bench.cache.observe(KEY).children["Service", "digits-server"]
    assert later["metadata"]["resourceVersion"] > known["metadata"]["resourceVersion"]
    bench.carry_out(delete=(later,))
    assert bench.children == set()


def test_deleted_pod_stays_in_the_cache_for_its_grace_period() -> None:
    bench = Bench()
    bench.carry_out(create=(server_pod(a_job(), a_start(), DEFAULTS),))
    bench.cluster.lingering = frozenset({"Pod"})
    bench.carry_out(delete=(bench.cache.observe(KEY).children["Pod", "digits-server"],))
    left = bench.cache.observe(KEY).children["Pod", "digits-server"]
    assert left["metadata"]["deletionTimestamp"] == "2027-01-15T08:00:15Z"


def test_reason_for_writing_an_object_again_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="fedjob.executor")
    body = service(a_job())
    Bench().carry_out(apply=(body,), drift={key_of(body): "spec.clusterIP differs"})
    assert caplog.messages == ["writing Service digits-server again: spec.clusterIP differs"]


def test_object_of_the_job_that_exists_already_is_adopted() -> None:
    bench = Bench()
    bench.cluster.put(service(a_job()))
    bench.carry_out(create=(service(a_job()),))
    assert bench.children == {("Service", "digits-server")}
    assert not bench.cache.observations(KEY).name_conflicts


@pytest.mark.parametrize("deleted_job", [False, True])
def test_object_of_another_owner_is_a_name_conflict_for_a_while(deleted_job: bool) -> None:
    """Until it disappears with an earlier job of this name, or until somebody removes it."""
    bench = Bench()
    foreign = service(a_job())
    foreign["metadata"]["ownerReferences"][0]["uid"] = "other"
    if not deleted_job:
        del foreign["metadata"]["ownerReferences"]
    bench.cluster.put(foreign)
    bench.carry_out(create=(service(a_job()),))
    assert bench.children == set()
    conflicts = bench.cache.observations(KEY).name_conflicts
    seconds = FOREIGN_OWNER_SECONDS if deleted_job else NAME_CONFLICT_SECONDS
    assert conflicts == {("Service", "digits-server"): NOW + seconds}


def test_object_deleted_between_create_and_read_is_an_error() -> None:
    bench = Bench()
    bench.cluster.put(service(a_job()))
    key = ("Service", "digits-server")
    bench.cluster.during["get Service digits-server"] = lambda: bench.cluster.objects.pop(key)
    with pytest.raises(ApiError, match="AlreadyExists"):
        bench.carry_out(create=(service(a_job()),))


def test_refused_call_stops_what_follows() -> None:
    bench = Bench()
    error = ApiError("POST /pods", 403, "Forbidden", "quota")
    bench.cluster.errors["create Pod digits-server"] = error
    pods = (server_pod(a_job(), a_start(), DEFAULTS),)
    with pytest.raises(ApiError, match="quota"):
        bench.carry_out(create=pods, record=record_map(a_job(), Record()))
    assert bench.cluster.calls == ["create Pod digits-server"]


def test_record_is_created_once_and_then_applied() -> None:
    bench = Bench()
    bench.carry_out(record=record_map(a_job(), Record()))
    bench.carry_out(record=record_map(a_job(), Record(started=1)))
    calls = ["create ConfigMap digits-record", "apply ConfigMap digits-record"]
    assert bench.cluster.calls == calls


def test_new_server_makes_the_log_of_rounds_out_of_date() -> None:
    bench = Bench()
    bench.cache.learn(KEY, log_status=a_status())
    bench.carry_out(create=(worker_pod(a_job(), "worker-0", a_start(), DEFAULTS, gpus=False),))
    assert bench.cache.observations(KEY).log_status == a_status()
    bench.carry_out(create=(server_pod(a_job(), a_start(), DEFAULTS),))
    assert bench.cache.observations(KEY).log_status is None

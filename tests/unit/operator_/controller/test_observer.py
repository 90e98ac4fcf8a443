"""What is read from the API server before a job is planned."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fedjob_operator.controller.observer import gpus_of, look_for_overdue
from fedjob_operator.naming import Body
from fedjob_operator.stages.shards import split_uri
from fedjob_operator.state.cache import Cache
from support.operator_samples import (
    DEFAULTS,
    a_job,
    observed_of,
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

    world = Cache(DEFAULTS)
    world.saw_job(observed_of(a_job()).body)
    world.saw_child("Pod", pod(3))
    cluster: Any = OnePod()
    asyncio.run(look_for_overdue(cluster, world, [pod(3)]))
    assert asked == ["v1 Pod team/digits-server"]
    children = world.observe(KEY).children
    assert len(children) == left
    if found is not None:
        assert children["Pod", "digits-server"]["metadata"]["uid"] == found["metadata"]["uid"]


def test_gpus_are_counted_on_schedulable_nodes() -> None:
    node: Body = {"status": {"allocatable": {"nvidia.com/gpu": "4"}}}
    assert gpus_of(node) == 4
    assert gpus_of({**node, "spec": {"unschedulable": True}}) == 0
    assert gpus_of({}) == 0
    assert split_uri("s3://bucket/a/b") == ("bucket", "a/b")

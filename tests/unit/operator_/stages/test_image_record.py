"""The list of built images in the operator's own namespace."""

from __future__ import annotations

import asyncio
from typing import Any

from fedjob_operator.kube.client import ApiError
from fedjob_operator.stages.image_record import NAME, ImageRecord
from support.operator.memory_cluster import MemoryCluster

IMAGE, DIGEST = "r.test/jobs/team:job-1", "sha256:" + "a" * 64


def record(cluster: Any) -> ImageRecord:
    return ImageRecord(cluster, "fedjob-system")


def test_images_outlive_the_process_that_built_them() -> None:
    cluster = MemoryCluster()

    async def run() -> None:
        first = record(cluster)
        (await first.load()).add(IMAGE, DIGEST)
        await first.save()
        assert (await record(cluster).load()).digest(IMAGE) == DIGEST

    asyncio.run(run())
    meta = cluster.objects["ConfigMap", NAME]["metadata"]
    assert meta["namespace"] == "fedjob-system"


def test_list_is_read_once() -> None:
    cluster = MemoryCluster()

    async def run() -> None:
        found = record(cluster)
        assert await found.load() is await found.load()

    asyncio.run(run())
    assert cluster.calls == [f"get ConfigMap {NAME}"]


def test_list_that_cannot_be_written_costs_a_later_build_and_no_job() -> None:
    cluster = MemoryCluster()
    cluster.errors[f"apply ConfigMap {NAME}"] = ApiError("PATCH", 403, "Forbidden", "no")

    async def run() -> None:
        found = record(cluster)
        (await found.load()).add(IMAGE, DIGEST)
        await found.save()
        assert (await found.load()).digest(IMAGE) == DIGEST

    asyncio.run(run())

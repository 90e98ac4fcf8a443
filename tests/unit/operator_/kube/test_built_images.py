"""Built images: remembered by name, in a form that a ConfigMap takes, and bounded."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from fedjob_operator.kube import built_images
from fedjob_operator.kube.built_images import NAME, BuiltImages, ImageRecord
from fedjob_operator.kube.client import ApiError
from support.operator.memory_cluster import MemoryCluster

IMAGE = "registry.test:5000/fedjob/jobs/team:job-1"
DIGEST = "sha256:" + "a" * 64


def test_image_is_known_after_it_was_built_also_by_a_later_process() -> None:
    built = BuiltImages()
    assert built.digest(IMAGE) is None
    built.add(IMAGE, DIGEST)
    assert built.digest(IMAGE) == DIGEST
    assert built.digest(f"{IMAGE}2") is None
    assert BuiltImages(built.recorded).digest(IMAGE) == DIGEST


def test_keys_are_those_of_a_config_map() -> None:
    built = BuiltImages()
    built.add(IMAGE, DIGEST)
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in built.recorded)


def test_list_does_not_outgrow_a_config_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built_images, "MOST", 3)
    built = BuiltImages()
    for number in range(10):
        built.add(f"{IMAGE}-{number}", DIGEST)
    assert len(built.recorded) == 3
    assert built.digest(f"{IMAGE}-9") == DIGEST


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

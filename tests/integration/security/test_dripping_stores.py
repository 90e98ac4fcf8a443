"""Jobs whose endpoints never finish an answer delay no other namespace's job."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from fedjob.protocol.config import StoreLocation
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.credentials import Credentials
from fedjob.storage.layout import Layout
from fedjob_operator.naming import Key
from fedjob_operator.settings import read_settings
from fedjob_operator.stage_run import run_blocking
from fedjob_operator.stages import runner
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.stages.lanes import PARALLEL
from fedjob_operator.stages.runner import Preparer
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.observed import Kits, Stage
from fedjob_operator.state.record import PreparedImage
from support.operator.dripping_store import DrippingStore, dripping_store, until
from support.operator.samples import DEFAULTS, UID, a_job
from support.operator.shard_stores import shard, store_with

MODEL = {
    "source": {
        "inline": (
            "from torch import nn\n\n\nclass Net(nn.Module):\n"
            "    def forward(self, x):\n        return x\n"
        )
    },
    "className": "Net",
}
DRIPPERS = [("hostile", f"drip-{number}") for number in range(4)]
VICTIM = ("team", "digits")
ORDER = [Stage.INPUTS, Stage.WORKSPACE, Stage.IMAGE, Stage.KITS, Stage.URLS, Stage.LOG]


def stage_threads(namespace: str) -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith(f"{namespace}/")]


class Operator:
    """A preparer, whose stores are a dripping one for `hostile` and one in memory for `team`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, drip: DrippingStore) -> None:
        self.cache = Cache(DEFAULTS)
        good = store_with(a=shard(1), b=shard(2))
        location = StoreLocation(endpoint=drip.url, bucket="jobs")

        async def open_store(_cluster: Any, job: FederatedJob, *_: Any) -> JobStore:
            if job.metadata.namespace == "team":
                return good
            keys = Credentials("key", "secret")
            return JobStore(location, location, keys, Layout("hostile", job.metadata.name))

        image = PreparedImage(
            reference="r@sha256:1", digest="d", cache_hit=True, seconds=0.1, made_from="m"
        )

        async def build_image(*_: Any) -> PreparedImage:
            return await run_blocking(lambda: image)

        async def make_kits(*_: Any) -> Kits:
            return Kits(name="set", files={})

        monkeypatch.setattr(runner, "open_store", open_store)
        monkeypatch.setattr(runner, "build_image", build_image)
        monkeypatch.setattr(runner, "make_kits", make_kits)
        settings = read_settings({"FEDJOB_NAMESPACE": "fedjob-system"})
        cluster: Any = None
        self.preparer = Preparer(cluster, settings, DEFAULTS, self.cache, lambda _: None)
        monkeypatch.setattr(self.preparer, "_may_act", lambda *_: lambda: None)
        self.jobs: dict[Key, FederatedJob] = {}
        for key in [*DRIPPERS, VICTIM]:
            job = a_job(key[1], model=MODEL)
            meta = job.metadata.model_copy(update={"namespace": key[0]})
            self.jobs[key] = job.model_copy(update={"metadata": meta})
            body = {"namespace": key[0], "name": key[1], "uid": UID, "resourceVersion": "1"}
            self.cache.saw_job({"metadata": body, "spec": {}})

    def start(self, key: Key, stage: Stage) -> asyncio.Task[None]:
        prepared = self.cache.observations(key).prepared
        self.preparer.start(key, self.jobs[key], [stage], prepared)
        return self.preparer._tasks[key, stage]

    def drip(self) -> None:
        """Has all hostile jobs read their inputs."""
        for key in DRIPPERS:
            self.start(key, Stage.INPUTS)


def test_jobs_that_drip_delay_no_job_of_another_namespace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(store: DrippingStore) -> None:
        operator = Operator(monkeypatch, store)
        for _ in range(3):  # created and deleted again and again
            operator.drip()
            await asyncio.to_thread(store.wait_for, PARALLEL // 2)
            for key in DRIPPERS:
                operator.preparer.forget(key)
            await until(lambda: not stage_threads("hostile"))
        await asyncio.to_thread(store.wait_until_closed)
        operator.drip()
        await asyncio.to_thread(store.wait_for, PARALLEL // 2)
        drippers = [operator.preparer._tasks[key, Stage.INPUTS] for key in DRIPPERS]
        for stage in ORDER:
            await operator.start(VICTIM, stage)
            assert operator.cache.observations(VICTIM).problems.get(stage) is None
            assert not any(task.done() for task in drippers)
        prepared = operator.cache.observations(VICTIM).prepared
        assert prepared is not None
        assert prepared.workspace
        assert len(stage_threads("hostile")) == PARALLEL // 2
        assert operator.preparer.health().oldest.startswith("hostile/drip-")
        await operator.preparer.close()
        await until(lambda: not stage_threads("hostile"))

    with dripping_store() as store:
        asyncio.run(run(store))
        store.wait_until_closed()

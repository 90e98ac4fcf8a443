"""Lanes of stages: deadlines, threads that end, and what /healthz reports of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fedjob.protocol.config import StoreLocation
from fedjob.reasons import Reason
from fedjob.storage.bucket import Bucket
from fedjob.storage.credentials import Credentials
from fedjob_operator.stage_run import run_blocking
from fedjob_operator.stages import lanes as lanes_module
from fedjob_operator.stages.errors import StageError
from fedjob_operator.stages.lanes import DEADLINES, PARALLEL, Lanes
from fedjob_operator.state.observed import Stage
from support.operator.dripping_store import dripping_store, until

KEY = ("team", "digits")


def head_at(url: str) -> Callable[[], Awaitable[None]]:
    """A step that asks a store."""
    bucket = Bucket(StoreLocation(endpoint=url, bucket="jobs"), Credentials("k", "s"))

    async def step() -> None:
        await run_blocking(bucket.head, "key")

    return step


def stage_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("team/")]


async def until_free(lanes: Lanes, stage: Stage) -> None:
    await until(lambda: not lanes.slots(stage).taken_by("team"))


@pytest.mark.parametrize(
    ("stage", "reason", "fix"),
    [
        (Stage.INPUTS, Reason.STORE_UNREACHABLE, "check the store"),
        (Stage.LOG, Reason.STORE_UNREACHABLE, "check the store"),
        (Stage.IMAGE, Reason.IMAGE_BUILD_FAILED, "look at the registry"),
        (Stage.KITS, Reason.INTERNAL_ERROR, "more CPU"),
    ],
)
def test_stage_ends_at_its_deadline_with_its_sockets(
    stage: Stage, reason: Reason, fix: str
) -> None:
    """A peer that sends a byte now and then passes every timeout between two bytes."""

    async def run(url: str) -> None:
        lanes = Lanes({stage: 0.2})
        with pytest.raises(StageError, match="not done in 0 s") as caught:
            await lanes.run(KEY, stage, head_at(url))
        assert caught.value.reason is reason
        assert fix in str(caught.value)
        await until_free(lanes, stage)
        assert stage_threads() == []

    with dripping_store(0.05) as store:
        asyncio.run(run(store.url))
        store.wait_until_closed()


def test_every_stage_of_the_runner_has_a_deadline() -> None:
    assert {*DEADLINES} == {*Stage} - {Stage.APPLY}


def test_deadline_of_a_stage_itself_is_no_deadline_of_the_lane() -> None:
    async def step() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        asyncio.run(Lanes().run(KEY, Stage.KITS, step))


def test_slot_is_held_until_the_last_thread_has_ended() -> None:
    """Else a job that is deleted and created again leaves threads behind, each time some."""

    async def run() -> None:
        lanes, entered, release = Lanes(), threading.Event(), threading.Event()

        async def step() -> None:
            await run_blocking(lambda: (entered.set(), release.wait()))

        task = asyncio.create_task(lanes.run(KEY, Stage.INPUTS, step))
        await asyncio.to_thread(entered.wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert lanes.slots(Stage.INPUTS).taken_by("team") == 1
        assert lanes.health().oldest == "team/digits: inputs"
        release.set()
        await until_free(lanes, Stage.INPUTS)
        assert lanes.health().oldest == ""

    asyncio.run(run())


def test_one_namespace_takes_no_slot_of_another_and_of_no_other_lane() -> None:
    async def run(url: str) -> None:
        lanes, order = Lanes(), []
        tasks = [
            asyncio.create_task(lanes.run(("team", f"j{i}"), stage, head_at(url)))
            for i in range(2 * PARALLEL)
            for stage in (Stage.INPUTS, Stage.WORKSPACE, Stage.IMAGE)
        ]
        await asyncio.to_thread(store.wait_for, PARALLEL // 2)

        async def step(name: str) -> None:
            await run_blocking(lambda: order.append(name))

        await lanes.run(("other", "a"), Stage.INPUTS, lambda: step("another namespace"))
        await lanes.run(KEY, Stage.URLS, lambda: step("URLs of the same one"))
        assert not any(task.done() for task in tasks)
        assert lanes.slots(Stage.INPUTS).taken_by("team") == PARALLEL // 2
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == ["another namespace", "URLs of the same one"]

    with dripping_store() as store:
        asyncio.run(run(store.url))


def test_stage_that_cannot_be_ended_makes_the_operator_unhealthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes_module, "OVERDUE_SECONDS", 0.0)

    async def run() -> None:
        lanes, release = Lanes({Stage.LOG: 0.01}), threading.Event()

        async def step() -> None:
            await run_blocking(release.wait)  # a lock has no socket to close

        with pytest.raises(StageError):
            await lanes.run(KEY, Stage.LOG, step)
        health = lanes.health()
        assert (health.ok, health.oldest) == (False, "team/digits: log")
        assert health.seconds >= 0.01
        release.set()
        await until_free(lanes, Stage.LOG)
        assert lanes.health().ok

    asyncio.run(run())


def test_blocking_calls_of_stages_and_images_belong_to_a_run() -> None:
    """A thread of the event loop's own pool would outlive its job and its deadline."""
    root = Path(lanes_module.__file__).parents[1]
    for folder in ("stages", "image"):
        for path in (root / folder).glob("*.py"):
            text = path.read_text()
            assert "to_thread" not in text, path.name
            assert "run_in_executor" not in text, path.name
            if "ThreadPoolExecutor" in text:
                assert "in_same_run(" in text, path.name

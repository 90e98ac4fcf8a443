"""One build of an image at a time, without blocking builds of other images."""

from __future__ import annotations

import asyncio
import threading

import pytest

from fedjob_operator.image.build_lock import build_lock
from fedjob_operator.stage_run import RunEndedError, StageRun


def test_second_build_of_an_image_waits_for_the_first() -> None:
    order: list[str] = []
    started = threading.Event()

    def second() -> None:
        started.set()
        with build_lock("r.test/a:1"):
            order.append("second")

    thread = threading.Thread(target=second)
    with build_lock("r.test/a:1"):
        thread.start()
        assert started.wait(10)
        with build_lock("r.test/a:2"):
            order.append("other image")
        order.append("first")
    thread.join(10)
    assert order == ["other image", "first", "second"]


def test_wait_ends_with_the_run_of_the_stage() -> None:
    def second() -> None:
        started.set()
        with build_lock("r.test/b:1"):
            raise AssertionError("two builds at once")

    async def main() -> None:
        run = StageRun("test: build lock")
        run.enter()
        task = asyncio.create_task(run.run(second))
        await asyncio.to_thread(started.wait)
        run.end()
        with pytest.raises(RunEndedError):
            await task

    started = threading.Event()
    with build_lock("r.test/b:1"):
        asyncio.run(main())

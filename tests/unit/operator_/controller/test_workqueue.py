"""The work queue loses no key, runs none twice at once, and shows when it is stuck."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from fedjob.errors import UnavailableError
from fedjob_operator.controller.workqueue import WorkQueue, failure_delay
from fedjob_operator.naming import Key

A: Key = ("team", "a")


B: Key = ("team", "b")


async def with_queue(
    handler: Callable[[Key], Awaitable[float | None]],
    drive: Callable[[WorkQueue], Awaitable[None]],
    *,
    longest: float = 5.0,
) -> None:
    queue = WorkQueue(handler, workers=4, longest=longest, spacing=0.0)
    task = asyncio.create_task(queue.run())
    try:
        async with asyncio.timeout(20):
            await drive(queue)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_key_added_while_active_runs_once_more() -> None:
    log: list[str] = []
    gate = asyncio.Event()
    twice = asyncio.Event()

    async def handler(key: Key) -> float | None:
        log.append("begin")
        await gate.wait()
        log.append("end")
        if log.count("end") == 2:
            twice.set()
        return None

    async def drive(queue: WorkQueue) -> None:
        queue.add(A)
        queue.add(A)
        while not log:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(5):
            queue.add(A)
        gate.set()
        await twice.wait()
        await asyncio.sleep(0.05)

    asyncio.run(with_queue(handler, drive))
    assert log == ["begin", "end", "begin", "end"]


def test_failing_key_is_retried_and_blocks_no_other() -> None:
    seen: list[Key] = []
    done = asyncio.Event()

    async def handler(key: Key) -> float | None:
        seen.append(key)
        if key == A and seen.count(A) == 1:
            raise UnavailableError("no answer")
        if key == A and seen.count(A) == 2:
            raise ZeroDivisionError
        if seen.count(A) == 3:
            done.set()
        return None

    async def drive(queue: WorkQueue) -> None:
        queue.add(A)
        queue.add(B)
        await done.wait()

    asyncio.run(with_queue(handler, drive))
    assert seen.count(A) == 3
    assert seen.count(B) == 1


def test_requested_delay_is_kept_unless_forgotten() -> None:
    seen: list[Key] = []
    done = asyncio.Event()

    async def handler(key: Key) -> float | None:
        seen.append(key)
        if key == B:
            return 30.0
        if seen.count(A) == 2:
            done.set()
        return 0.01

    async def drive(queue: WorkQueue) -> None:
        queue.add(A)
        queue.add(B)
        await done.wait()
        queue.forget(B)
        queue.add_after(B, 20.0)
        queue.add_after(B, 40.0)  # the sooner stays
        queue.add_after(B, 0.01)  # and gives way to one that is sooner still
        while seen.count(B) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    asyncio.run(with_queue(handler, drive))


def test_handler_that_does_not_end_is_cancelled() -> None:
    tries: list[Key] = []
    done = asyncio.Event()

    async def handler(key: Key) -> float | None:
        tries.append(key)
        if len(tries) == 1:
            await asyncio.sleep(3600)
        done.set()
        return None

    async def drive(queue: WorkQueue) -> None:
        queue.add(A)
        await done.wait()
        assert queue.health().ok

    asyncio.run(with_queue(handler, drive, longest=0.05))


def test_handler_that_swallows_its_cancellation_is_unhealthy() -> None:
    released = asyncio.Event()

    async def handler(key: Key) -> float | None:
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()
        return None

    async def drive(queue: WorkQueue) -> None:
        queue.add(A)
        while queue.health().ok:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert queue.health().oldest_active > 0
        released.set()
        while not queue.health().ok:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    asyncio.run(with_queue(handler, drive, longest=0.05))


def test_storm_of_events_is_spaced() -> None:
    seen: list[float] = []

    async def handler(key: Key) -> float | None:
        seen.append(asyncio.get_running_loop().time())
        return None

    async def storm() -> None:
        queue = WorkQueue(handler, workers=1, spacing=0.2)
        task = asyncio.create_task(queue.run())
        for _ in range(30):
            queue.add(A)
            await asyncio.sleep(0.01)
        while len(seen) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(storm())
    assert all(late - early >= 0.19 for early, late in pairwise(seen))


@pytest.mark.parametrize(
    ("failures", "retry_after", "conflict", "draw", "seconds"),
    [
        (1, None, False, 0.5, 0.5),
        (2, None, False, 0.5, 1.0),
        (50, None, False, 0.5, 60.0),
        (1, 7.0, False, 0.0, 7.0),
        (1, 7.0, False, 1.0, 8.4),
        (9, None, True, 0.5, 0.5),
        (2, None, False, 0.0, 0.8),
        (2, None, False, 1.0, 1.2),
    ],
)
def test_failures_are_backed_off(
    failures: int, retry_after: float | None, conflict: bool, draw: float, seconds: float
) -> None:
    found = failure_delay(failures, retry_after, conflict=conflict, draw=draw)
    assert found == pytest.approx(seconds)

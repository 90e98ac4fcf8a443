"""The work queue loses no key, runs none twice at once, and shows when it is stuck."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from fedjob.errors import UnavailableError
from fedjob_operator.controller.workqueue import (
    BACKOFF,
    LONGEST_WORK,
    STUCK_WAITING,
    WorkQueue,
    failure_delay,
)
from fedjob_operator.kube.client import ApiError
from fedjob_operator.naming import Key
from support.virtual_time import run_virtual

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

    run_virtual(with_queue(handler, drive))
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

    run_virtual(with_queue(handler, drive))
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

    run_virtual(with_queue(handler, drive))


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

    run_virtual(with_queue(handler, drive, longest=0.05))


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

    run_virtual(with_queue(handler, drive, longest=0.05))


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

    run_virtual(storm())
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


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (UnavailableError("no answer"), [0.0, 0.5, 1.5, 3.5]),
        (ZeroDivisionError(), [0.0, 0.5, 1.5, 3.5]),
        (ApiError("PATCH /status", 409, "Conflict", "changed"), [0.0, 0.5, 1.0, 1.5]),
        (ApiError("PATCH /status", 429, "Busy", "wait", 10.0), [0.0, 11.0, 22.0, 33.0]),
    ],
    ids=["error", "bug", "conflict", "asked to wait"],
)
def test_failing_key_is_tried_again_after_its_backoff(error: Exception, tries: list[float]) -> None:
    seen: list[float] = []

    async def handler(key: Key) -> float | None:
        seen.append(asyncio.get_running_loop().time())
        raise error

    async def main() -> None:
        queue = WorkQueue(handler, workers=1, spacing=0.0, draw=lambda: 0.5)
        task = asyncio.create_task(queue.run())
        queue.add(A)
        while len(seen) < len(tries):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtual(main())
    assert seen == pytest.approx(tries)


def test_success_resets_the_backoff() -> None:
    seen: list[float] = []

    async def handler(key: Key) -> float | None:
        seen.append(asyncio.get_running_loop().time())
        if len(seen) in (1, 2, 4):
            raise UnavailableError("no answer")
        return 100.0 if len(seen) == 3 else None

    async def main() -> None:
        queue = WorkQueue(handler, workers=1, spacing=0.0, draw=lambda: 0.5)
        task = asyncio.create_task(queue.run())
        queue.add(A)
        while len(seen) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtual(main())
    assert seen == pytest.approx([0.0, 0.5, 1.5, 101.5, 102.0])


def test_jitter_spreads_jobs_that_failed_together() -> None:
    draws = iter([0.0, 1.0])
    seen: dict[Key, list[float]] = {A: [], B: []}

    async def handler(key: Key) -> float | None:
        seen[key].append(asyncio.get_running_loop().time())
        if len(seen[key]) == 1:
            raise UnavailableError("no answer")
        return None

    async def main() -> None:
        queue = WorkQueue(handler, workers=2, spacing=0.0, draw=lambda: next(draws))
        task = asyncio.create_task(queue.run())
        queue.add(A)
        queue.add(B)
        while min(map(len, seen.values())) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtual(main())
    assert (seen[A][1], seen[B][1]) == pytest.approx(
        (0.5 * (1 - BACKOFF.jitter), 0.5 * (1 + BACKOFF.jitter))
    )


def test_key_that_waits_for_too_long_is_unhealthy() -> None:
    async def main() -> None:
        queue = WorkQueue(lambda _: asyncio.sleep(0), workers=0)
        queue.add(A)
        await asyncio.sleep(STUCK_WAITING - 1)
        assert queue.health().ok
        await asyncio.sleep(1)
        health = queue.health()
        assert (health.ok, health.waiting, health.oldest_waiting) == (False, 1, STUCK_WAITING)

    run_virtual(main())


def test_reconcile_that_hangs_is_cancelled_after_two_minutes_and_tried_again() -> None:
    seen: list[float] = []

    async def handler(key: Key) -> float | None:
        seen.append(asyncio.get_running_loop().time())
        await asyncio.sleep(3600 if len(seen) == 1 else 0)
        return None

    async def main() -> None:
        queue = WorkQueue(handler, workers=1, draw=lambda: 0.5)
        task = asyncio.create_task(queue.run())
        queue.add(A)
        while len(seen) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtual(main())
    assert seen == pytest.approx([0.0, LONGEST_WORK + 0.5])

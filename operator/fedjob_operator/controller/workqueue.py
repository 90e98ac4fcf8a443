"""The work queue: one reconcile of a key at a time, no key lost, failures backed off.

A key that is added while it waits counts once; a key that is added while it is worked on is worked
on once more. Two reconciles of a key are at least SPACING seconds apart, so that a storm of events
costs little.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fedjob.backoff import Backoff
from fedjob.errors import FedjobError
from fedjob_operator.metrics import QUEUE_ACTIVE, QUEUE_OLDEST, QUEUE_WAITING, RECONCILES
from fedjob_operator.naming import Key

SPACING = 0.2
"""Least seconds between two reconciles of a key."""
BACKOFF = Backoff(first=0.5, longest=60.0, jitter=0.2)
"""Between the tries of a key that fails."""
LONGEST_WORK = 120.0
"""Seconds after which one reconcile is cancelled; nothing in it should take long."""
STUCK_WAITING = 180.0
"""Seconds after which a waiting key means that the queue is stuck."""

_log = logging.getLogger("fedjob.queue")


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the queue makes progress.

    Attributes:
        ok: Whether no key waits or is worked on for too long.
        waiting: Number of keys that wait.
        oldest_waiting: Seconds for which a key has waited at most.
        oldest_active: Seconds for which a key has been worked on at most.
    """

    ok: bool
    waiting: int
    oldest_waiting: float
    oldest_active: float


def failure_delay(
    failures: int,
    retry_after: float | None = None,
    *,
    conflict: bool = False,
    draw: float = 0.5,
) -> float:
    """Seconds before a key that failed is tried again.

    Args:
        failures: Failures in a row, this one included.
        retry_after: Seconds that the API server asks to wait, where it does.
        conflict: Whether the reconcile only read an old version: it is tried again soon.
        draw: A random number in [0, 1) that decides the jitter; what the API server asks for is
            only lengthened by it.
    """
    asked = (retry_after or 0.0) * (1.0 + BACKOFF.jitter * draw)
    return max(BACKOFF.delay(1 if conflict else failures, draw), asked)


class WorkQueue:
    """Keys, and the tasks that work on them.

    Args:
        handler: Works on a key; returns seconds until it should do so again, or None.
        workers: Number of keys that are worked on at once.
        longest: Seconds after which a handler is cancelled.
        spacing: Least seconds between two calls for one key.
        draw: Gives random numbers in [0, 1) for the jitter of retries.
    """

    def __init__(
        self,
        handler: Callable[[Key], Awaitable[float | None]],
        *,
        workers: int = 16,
        longest: float = LONGEST_WORK,
        spacing: float = SPACING,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._handler = handler
        self._workers = workers
        self._longest = longest
        self._spacing = spacing
        self._draw = draw
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: dict[Key, float] = {}
        self._active: dict[Key, float] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._ended: dict[Key, float] = {}

    def add(self, key: Key) -> None:
        """Has a key worked on soon."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._waiting:
            return
        now = self._now()
        early = self._ended.get(key, now - self._spacing) + self._spacing - now
        if early > 0.001 and key not in self._active:
            self._timers[key] = asyncio.get_running_loop().call_later(early, self.add, key)
            return
        self._waiting[key] = now
        if key not in self._active:
            self._ready.put_nowait(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Has a key worked on in `seconds`, unless it is due sooner."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_later(max(0.0, seconds), self.add, key)

    def forget(self, key: Key) -> None:
        """Drops what is kept about a key that is gone."""
        for table in (self._failures, self._ended):
            table.pop(key, None)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def run(self) -> None:
        """Works until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._workers):
                tasks.create_task(self._work())

    def health(self) -> Health:
        """Whether the queue makes progress, for /healthz."""
        now = self._now()
        waiting = max((now - since for since in self._waiting.values()), default=0.0)
        active = max((now - since for since in self._active.values()), default=0.0)
        QUEUE_WAITING.set(len(self._waiting))
        QUEUE_ACTIVE.set(len(self._active))
        QUEUE_OLDEST.set(waiting)
        # A handler that swallows its cancellation stays active, which means that it is stuck.
        ok = active < 2 * self._longest and waiting < STUCK_WAITING
        return Health(ok, len(self._waiting), waiting, active)

    async def _work(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.pop(key, None)
            self._active[key] = self._now()
            again: float | None = None
            try:
                async with asyncio.timeout(self._longest):
                    again = await self._handler(key)
                self._failures.pop(key, None)
                RECONCILES.labels("ok").inc()
            except (FedjobError, TimeoutError) as error:
                again = self._failed(key, error)
            except Exception as error:  # noqa: BLE001 (one job's bug must not stop the others)
                _log.exception("bug", extra={"job": "/".join(key)})
                again = self._failed(key, error)
            finally:
                self._active.pop(key, None)
                self._ended[key] = self._now()
                if key in self._waiting:
                    self._ready.put_nowait(key)
            if again is not None and key not in self._waiting:
                self.add_after(key, again)

    def _failed(self, key: Key, error: Exception) -> float:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        conflict = getattr(error, "code", None) == 409
        retry_after = getattr(error, "retry_after", None)
        # Jitter: jobs that failed together must not come back together.
        delay = failure_delay(count, retry_after, conflict=conflict, draw=self._draw())
        RECONCILES.labels("conflict" if conflict else "error").inc()
        level = logging.INFO if conflict else logging.WARNING
        text = str(error) or type(error).__name__
        extra = {"job": "/".join(key), "failures": count, "again_in": round(delay, 1)}
        _log.log(level, text, extra=extra)
        return delay

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

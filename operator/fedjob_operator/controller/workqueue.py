"""The work queue: one reconcile a key at a time, no key lost, failures backed off.

A key that is added while it waits is one key; one that is added while it is worked on is worked on
once more. A key is worked on at most once every SPACING seconds, so that a storm of events costs
little.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fedjob.errors import FedjobError
from fedjob_operator.metrics import QUEUE_ACTIVE, QUEUE_OLDEST, QUEUE_WAITING, RECONCILES
from fedjob_operator.naming import Key

SPACING = 0.2
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 60.0
LONGEST_WORK = 120.0
"""Seconds after which one reconcile is broken off; nothing in it should take long."""
STUCK_WAITING = 180.0

_log = logging.getLogger("fedjob.queue")


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the queue moves.

    Attributes:
        ok: No key waits or is worked on for too long.
        waiting: Keys that wait.
        oldest_waiting: Seconds.
        oldest_active: Seconds.
    """

    ok: bool
    waiting: int
    oldest_waiting: float
    oldest_active: float


def failure_delay(
    failures: int, retry_after: float | None = None, *, conflict: bool = False
) -> float:
    """Seconds before a key that failed so many times in a row is tried again, without jitter.

    Args:
        failures: In a row, this one included.
        retry_after: What the API server asks for.
        conflict: It only read an old version: tried again at once.
    """
    delay = FIRST_BACKOFF if conflict else FIRST_BACKOFF * 2.0 ** min(max(failures, 1) - 1, 10)
    return max(min(delay, LONGEST_BACKOFF), retry_after or 0.0)


class WorkQueue:
    """Keys, and the tasks that work on them.

    Args:
        handler: Works on a key; returns seconds until it wants to again, or None.
        workers: Keys worked on at once.
        longest: Seconds after which a handler is cancelled.
    """

    def __init__(
        self,
        handler: Callable[[Key], Awaitable[float | None]],
        *,
        workers: int = 16,
        longest: float = LONGEST_WORK,
        spacing: float = SPACING,
    ) -> None:
        self._handler = handler
        self._workers = workers
        self._longest = longest
        self._spacing = spacing
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
        """Has a key worked on in so many seconds, unless it is sooner anyway."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_later(max(0.0, seconds), self.add, key)

    def forget(self, key: Key) -> None:
        """A key that is gone: nothing is remembered of it."""
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
        """Whether the queue moves, for /healthz."""
        now = self._now()
        waiting = max((now - since for since in self._waiting.values()), default=0.0)
        active = max((now - since for since in self._active.values()), default=0.0)
        QUEUE_WAITING.set(len(self._waiting))
        QUEUE_ACTIVE.set(len(self._active))
        QUEUE_OLDEST.set(waiting)
        # A handler that swallows its cancellation stays active: that is what stuck looks like.
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
        delay = failure_delay(count, getattr(error, "retry_after", None), conflict=conflict)
        RECONCILES.labels("conflict" if conflict else "error").inc()
        level = logging.INFO if conflict else logging.WARNING
        text = str(error) or type(error).__name__
        extra = {"job": "/".join(key), "failures": count, "again_in": round(delay, 1)}
        _log.log(level, text, extra=extra)
        # Jitter: jobs that failed together must not come back together.
        return delay * random.uniform(0.8, 1.2)  # noqa: S311

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

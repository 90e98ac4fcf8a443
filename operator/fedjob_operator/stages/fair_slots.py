"""Slots that no namespace can take all of: a namespace may hold as many as are left then.

Of eight slots the first namespace gets four, the next two, two more one each. So a namespace whose
endpoints never answer delays its own jobs, and others find free slots at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairSlots:
    """Slots of the event loop's tasks, held by namespace.

    Args:
        total: Slots of all namespaces.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    async def acquire(self, namespace: str) -> None:
        """Waits for a slot; the namespace that holds the fewest is first."""
        granted = asyncio.get_running_loop().create_future()
        entry = (namespace, granted)
        self._waiting.append(entry)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            elif not granted.cancelled():
                self.release(namespace)  # granted just before the cancellation
            raise

    @asynccontextmanager
    async def slot(self, namespace: str) -> AsyncIterator[None]:
        """A slot for the block."""
        await self.acquire(namespace)
        try:
            yield
        finally:
            self.release(namespace)

    def release(self, namespace: str) -> None:
        """Gives a slot back."""
        self._taken[namespace] -= 1
        if not self._taken[namespace]:
            del self._taken[namespace]
        self._grant()

    def taken_by(self, namespace: str) -> int:
        """Slots that a namespace holds."""
        return self._taken[namespace]

    def _grant(self) -> None:
        while True:
            free = self._total - self._taken.total()
            entry = min(
                (entry for entry in self._waiting if self._taken[entry[0]] < free),
                key=lambda entry: self._taken[entry[0]],
                default=None,
            )
            if entry is None:
                return
            self._waiting.remove(entry)
            namespace, granted = entry
            if not granted.done():
                self._taken[namespace] += 1
                granted.set_result(None)

"""Waiting out a store that is being restarted."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fedjob.backoff import Backoff
from fedjob.storage.errors import StoreUnreachableError

T = TypeVar("T")


_BACKOFF = Backoff(first=0.2, longest=4.0, jitter=0.33)


def _not_counted(_error: StoreUnreachableError) -> None:
    return None


def _same_connection() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and how, an operation is tried again while the store is unreachable.

    It lies around botocore's own retries, which give up within seconds.

    Attributes:
        seconds: From the first failure to giving up; the last error is then raised.
        on_retry: Called with the error before each wait, to count and report (CONTRACT row 29).
        backoff: The waits; with jitter, because servers and workers that lost the store together
            must not return together.
        clock: Monotonic seconds.
        sleep: Waits for seconds.
    """

    seconds: float = 120.0
    on_retry: Callable[[StoreUnreachableError], None] = _not_counted
    backoff: Backoff = _BACKOFF
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def call(
        self, operation: Callable[[], T], reconnect: Callable[[], None] = _same_connection
    ) -> T:
        """What `operation` returns; it must be safe to run twice.

        Args:
            operation: Asks the store.
            reconnect: Called before each further try: the far end of the connection may have
                failed.

        Raises:
            StoreUnreachableError: The last one, when patience is at its end.
        """
        deadline: float | None = None
        failures = 0
        while True:
            try:
                return operation()
            except StoreUnreachableError as error:
                now = self.clock()
                deadline = now + self.seconds if deadline is None else deadline
                if now >= deadline:
                    raise
                self.on_retry(error)
                failures += 1
                wait = self.backoff.delay(failures, random.random())  # noqa: S311 - jitter
                self.sleep(min(wait, deadline - now))
                reconnect()

"""Waiting out a store that is being restarted."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fedjob.storage.errors import StoreUnreachableError

T = TypeVar("T")


def _not_counted(_error: StoreUnreachableError) -> None:
    return None


def _as_it_is() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and how, an operation is tried again while the store is unreachable.

    It lies around botocore's own retries, which give up within seconds.

    Attributes:
        seconds: From the first failure to giving up; the last error is then raised.
        on_retry: Called with the error before each wait, to count and to tell (CONTRACT row 29).
        first_wait: Seconds before the second try; doubled each time, with jitter.
        longest_wait: Bound of one wait, in seconds.
        clock: Monotonic seconds.
        sleep: Waits for seconds.
    """

    seconds: float = 120.0
    on_retry: Callable[[StoreUnreachableError], None] = _not_counted
    first_wait: float = 0.25
    longest_wait: float = 5.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def call(self, operation: Callable[[], T], afresh: Callable[[], None] = _as_it_is) -> T:
        """What `operation` returns; it must be safe to run twice.

        Args:
            operation: Asks the store.
            afresh: Called before each further try: what failed may be the connection's far end.

        Raises:
            StoreUnreachableError: The last one, when patience is at its end.
        """
        deadline: float | None = None
        wait = self.first_wait
        while True:
            try:
                return operation()
            except StoreUnreachableError as error:
                now = self.clock()
                deadline = now + self.seconds if deadline is None else deadline
                if now >= deadline:
                    raise
                self.on_retry(error)
                # Jitter: servers and workers that lost the store together must not return together.
                jittered = wait * random.uniform(0.5, 1.0)  # noqa: S311
                self.sleep(min(jittered, deadline - now))
                wait = min(wait * 2, self.longest_wait)
                afresh()

"""Time as supervisor and job process take it: a value, so that tests can run hours in no time."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Reads the time and waits."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""

    def time(self) -> float:
        """Seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Waits; may raise where the wait is interrupted."""


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)


class Stopped(Exception):  # noqa: N818 (a request, not an error)
    """SIGTERM: leave the loop, commit the round at hand, and exit."""


class StoppableClock(SystemClock):
    """A clock whose waits end with `Stopped` once `stop` was called.

    `stop` is safe in a signal handler.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ends the current wait and every later one."""
        self._stop.set()

    def stopped(self, seconds: float) -> bool:
        """Waits for `stop`, so long at most; whether it was called."""
        return self._stop.wait(seconds)

    def sleep(self, seconds: float) -> None:
        """Waits.

        Raises:
            Stopped: `stop` was called before or meanwhile.
        """
        if self.stopped(seconds):
            raise Stopped

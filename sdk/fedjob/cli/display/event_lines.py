"""What is printed where the output goes to a file or pipe: one line an event, with its time."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

from fedjob.formats import size


class EventLines:
    """Lines without control characters, for logs and pipes."""

    def __init__(
        self,
        console: Console,
        began: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prints nothing yet.

        Args:
            console: Where to.
            began: What the seconds count from, on the clock; None: now.
            clock: Seconds.
        """
        self._console = console
        self._clock = clock
        self._began = clock() if began is None else began
        self._tenth = -1

    def line(self, text: str) -> None:
        """Print a line."""
        elapsed = self._clock() - self._began
        self._console.print(
            f"[{elapsed:7.1f}s] {text}", markup=False, highlight=False, soft_wrap=True
        )

    def note(self, message: str, *, warning: bool = False) -> None:
        """The line itself."""
        self.line(f"warning: {message}" if warning else message)

    def uploaded(self, done: int, total: int) -> None:
        """A line for every tenth of the bytes."""
        tenth = 10 * done // total if total else 10
        if tenth > self._tenth:
            self._tenth = tenth
            self.line(f"uploaded {size(done)} of {size(total)}")

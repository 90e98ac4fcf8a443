"""Ctrl-C and SIGTERM as one exception, raised once; a second signal hurries the clean-up."""

from __future__ import annotations

import signal
import threading
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any

from fedjob.errors import EXIT_INTERRUPTED, FedjobError
from fedjob.reasons import Reason

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt(BaseException):
    """A request to stop. Not an Exception, so that no handler of errors catches it."""


class InterruptedRunError(FedjobError):
    """The run was stopped on request and everything it started has ended; it can be resumed."""

    exit_code = EXIT_INTERRUPTED
    reason = Reason.INTERRUPTED


class Interruption(AbstractContextManager["Interruption"]):
    """While it is open, the first signal raises `Interrupt` in the main thread, later ones hurry.

    In other threads than the main one signals cannot be taken; `request` and `check` do their
    work there.
    """

    def __init__(self) -> None:
        self._hurry = False
        self._raised = False
        self._requested = threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        """Take the signals."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def request(self) -> None:
        """Ask the run to stop, from any thread; the next `check` raises."""
        self._requested.set()

    def check(self) -> None:
        """Raise `Interrupt`, once, if a stop has been requested."""
        if self._requested.is_set() and not self._raised:
            self._raised = True
            raise Interrupt("request")

    def close(self) -> None:
        """The clean-up begins: from now on a signal can only hurry it."""
        self._raised = True

    @property
    def hurry(self) -> bool:
        """Whether another signal came during the clean-up: kill now instead of waiting."""
        return self._hurry

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._raised:
            self._hurry = True
            return
        self._raised = True
        raise Interrupt(signal.Signals(number).name)

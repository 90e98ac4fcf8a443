"""Sends the log of a site while it grows, and at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from fedjob_runtime.site_log.capture import LogCapture

EVERY_SECONDS = 30.0


class LogSender:
    """A thread that sends the log's end whenever there is something new in it.

    A log that cannot be sent costs nothing but itself: it is tried again, and reported once.

    Args:
        capture: The log.
        send: Sends bytes to where the log is kept; False where that is not known yet. Raises
            OSError where it fails, whose text must hold no URL, because it is printed.
        say: Takes a line for the log.
        every: Seconds between two looks.
    """

    def __init__(
        self,
        capture: LogCapture,
        send: Callable[[bytes], bool],
        say: Callable[[str], None],
        every: float = EVERY_SECONDS,
    ) -> None:
        self._capture, self._send, self._say, self._every = capture, send, say, every
        self._stop = threading.Event()
        self._sent = -1
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="log-sender", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the thread; `send_now` sends what is new after that."""
        self._stop.set()
        self._thread.join(5.0)

    def send_now(self) -> None:
        """Sends the log if anything is new in it."""
        written = self._capture.written
        if written == self._sent:
            return
        try:
            if not self._send(self._capture.tail()):
                return
        except OSError as error:
            if not self._failed:
                self._failed = True
                self._say(f"the log could not be kept: {error}; it is tried again")
            return
        self._sent, self._failed = written, False

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.send_now()

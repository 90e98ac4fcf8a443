"""Keeps the log of this process from its start to its end, where its pod asks for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fedjob_runtime.site_log.capture import LogCapture
from fedjob_runtime.site_log.sender import EVERY_SECONDS, LogSender

ENV_LOG_FORM = "FEDJOB_LOG_FORM"
"""A worker's file with a presigned form for its log."""
ENV_KEEP_LOG = "FEDJOB_KEEP_LOG"
"""Set where the server keeps its log in the store."""


@contextmanager
def kept_log(
    home: Path,
    send: Callable[[bytes], bool] | None,
    say: Callable[[str], None],
    every: float = EVERY_SECONDS,
) -> Iterator[None]:
    """Captures and sends the log of what runs within, and its end after it.

    Args:
        home: The folder of the process; the log is `log/site.log` in it.
        send: Sends the log, as for `LogSender`. None: nothing is kept.
        say: Takes a line for the log.
        every: Seconds between two times that it is sent.
    """
    if send is None:
        yield
        return
    capture = LogCapture(home / "log" / "site.log")
    sender = LogSender(capture, send, say, every)
    try:
        with capture, sender:
            yield
    finally:
        sender.send_now()

"""Ctrl-C and SIGTERM outside of a local run, which takes its signals itself."""

from __future__ import annotations

from types import FrameType


class Interrupted(BaseException):
    """A signal that ends the command; not an Exception, so that nothing takes it for a fault."""


def interrupt(number: int, frame: FrameType | None) -> None:
    """The signal handler."""
    raise Interrupted

"""What an engine reports while a run is under way: phases, uploads, restarts, the status."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from fedjob.protocol.server_status import ServerStatus


class Step(StrEnum):
    """The phases of a run as a person sees them, in order."""

    PREPARE = "prepare"
    UPLOAD = "upload"
    START = "start"
    TRAIN = "train"
    FINISH = "finish"


class RunObserver(Protocol):
    """Receives everything worth showing; every call returns at once and raises nothing."""

    def step(self, step: Step) -> None:
        """A phase begins, which ends the one before; one that has begun already is ignored."""

    def note(self, message: str, *, warning: bool = False) -> None:
        """One line that a person may want to read."""

    def uploaded(self, done: int, total: int) -> None:
        """Bytes of workspace and shards that are in S3, of how many."""

    def status(self, status: ServerStatus) -> None:
        """The server's status has changed."""

    def restarted(self, name: str, restarts: int) -> None:
        """A process (`server`, `worker-<i>`) was restarted, for the `restarts`-th time."""


class SilentObserver:
    """Ignores everything: for scripts and tests."""

    def step(self, step: Step) -> None:
        """Ignore it."""

    def note(self, message: str, *, warning: bool = False) -> None:
        """Ignore it."""

    def uploaded(self, done: int, total: int) -> None:
        """Ignore it."""

    def status(self, status: ServerStatus) -> None:
        """Ignore it."""

    def restarted(self, name: str, restarts: int) -> None:
        """Ignore it."""

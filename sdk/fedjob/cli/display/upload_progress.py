"""The progress of an upload or a download: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class UploadProgress(AbstractContextManager["UploadProgress"]):
    """Shows bytes done and in all, speed and time left."""

    def __init__(self, console: Console, name: str = "upload") -> None:
        self._progress = Progress(
            TextColumn(name),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(name, total=None)

    def __enter__(self) -> UploadProgress:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last picture."""
        self._progress.stop()

    def moved(self, done: int, total: int) -> None:
        """Bytes that are there, of how many; safe from any thread."""
        self._progress.update(self._task, completed=done, total=total)

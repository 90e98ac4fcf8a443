"""A bar for the files that a client sends: in a terminal or a notebook, and nowhere else."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class UploadProgress(AbstractContextManager["UploadProgress"]):
    """Draws the bytes that an engine reports; draws nothing where nothing is to be sent."""

    def __init__(self, name: str, shown: bool | None, console: Console | None = None) -> None:
        """Draws nothing yet.

        Args:
            name: Of the job.
            shown: None: where stderr is a terminal, or IPython shows HTML.
            console: Where to; None: stderr.
        """
        self._name = name
        self._console = console or _console()
        self._shown = (self._console.is_terminal or _in_notebook()) if shown is None else shown
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def note(self, message: str, *, warning: bool = False) -> None:
        """One line that a person may want to read."""
        if self._shown:
            style = "yellow" if warning else ""
            self._console.print(message, style=style, markup=False, soft_wrap=True)

    def uploaded(self, done: int, total: int) -> None:
        """Bytes that are in the store, of how many."""
        if not self._shown:
            return
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._progress.add_task(f"upload {self._name}", total=total)
            self._progress.start()
        self._progress.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it is."""
        if self._progress is not None:
            self._progress.stop()


def _console() -> Console:
    """stderr; rich draws live in a notebook by ipywidgets only, and would warn of its absence."""
    widgets = importlib.util.find_spec("ipywidgets") is not None
    return Console(stderr=True, force_jupyter=None if widgets else False)


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    current = shell.get_ipython() if shell is not None else None
    return current is not None and hasattr(current, "kernel")

"""Copies what NVFlare and the job processes print to the supervisor's own output.

So one log, the supervisor's, has everything of the server: it is what `kubectl logs` shows first
and what the store keeps. The agent keeps its output in a file of the folder of reports.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from fedjob_runtime.server.supervisor.handover import HandoverInvalidError, opened

FILE = ("log", "site.log")
"""As `LogCapture` of the agent writes it."""
EVERY_SECONDS = 0.3
_CHUNK = 65536


class LogRelay:
    """A thread that copies new output from when it starts.

    Args:
        reports: The agent's folder.
        write: Takes bytes of the output.
        every: Seconds between two looks.
    """

    def __init__(
        self, reports: Path, write: Callable[[bytes], object], every: float = EVERY_SECONDS
    ) -> None:
        self._reports, self._write, self._every = reports, write, every
        self._file: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-relay", daemon=True)

    def __enter__(self) -> Self:
        self._follow_current()
        if self._file is not None:
            # An earlier supervisor has copied this.
            os.lseek(self._file, 0, os.SEEK_END)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5.0)
        if not self._thread.is_alive() and self._file is not None:
            os.close(self._file)
            self._file = None

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self._copy()
        self._copy()

    def _copy(self) -> None:
        """What is new: the rest of a file that was renamed, then the one in its place."""
        self._copy_rest()
        self._follow_current()
        self._copy_rest()

    def _copy_rest(self) -> None:
        # A log that grows faster than it is copied must not keep this from ending.
        for _ in range(256):
            data = b"" if self._file is None else os.read(self._file, _CHUNK)
            if not data:
                return
            self._write(data)

    def _follow_current(self) -> None:
        try:
            with opened(self._reports, *FILE) as found:
                if found is None or self._same(found):
                    return
                after = os.dup(found)
        except (HandoverInvalidError, OSError):
            return  # whoever put something else there loses the log only
        if self._file is not None:
            self._copy_rest()
            os.close(self._file)
        self._file = after

    def _same(self, found: int) -> bool:
        return self._file is not None and os.path.samestat(os.fstat(found), os.fstat(self._file))

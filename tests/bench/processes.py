"""The processes of one run, found in /proc: for their memory, and to end all of them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path


def with_argument(part: str) -> list[int]:
    """Processes whose command line contains `part`, such as a site's folder."""
    return _matching("cmdline", part.encode())


def with_variable(name: str, value: str) -> list[int]:
    """Processes that have, or whose starter had, this environment variable."""
    return _matching("environ", f"{name}={value}\0".encode())


def end_all(name: str, value: str, seconds: float = 20.0) -> None:
    """Kills every process with this environment variable, until none is left.

    Raises:
        RuntimeError: Some still live after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while alive := with_variable(name, value):
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {alive} do not end; kill them by hand")
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _matching(file: str, part: bytes) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            # A process may end between the listing and the reading; others' are not readable.
            with contextlib.suppress(OSError):
                if part in (entry / file).read_bytes():
                    found.append(int(entry.name))
    return found

"""One run per folder: a lock that the kernel gives back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path

from fedjob.errors import UnavailableError
from fedjob.formats import rfc3339


class FolderInUseError(UnavailableError):
    """Another process runs in the folder.

    Attributes:
        pid: Its process id; None while it has not written it yet.
    """

    def __init__(self, folder: Path, pid: int | None, since: str | None) -> None:
        self.pid = pid
        who = f"process {pid}" if pid is not None else "another process"
        when = f" since {since}" if since else ""
        stop = f"stop it (kill {pid})" if pid is not None else "stop it"
        super().__init__(
            f"{folder}: {who} runs a job in this folder{when}; wait for it, {stop}, "
            f"or give another folder with --out"
        )


class RunLock(AbstractContextManager["RunLock"]):
    """An exclusive flock on a file that names its holder.

    The file stays when the lock is released (deleting it would let two processes hold "the" lock);
    a file left by a dead process is taken over, because the kernel has released its lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def __enter__(self) -> RunLock:
        """Take the lock.

        Raises:
            FolderInUseError: A living process holds it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            holder = read_holder(self._path)
            raise FolderInUseError(self._path.parent.parent, *holder) from None
        os.ftruncate(descriptor, 0)
        text = {"pid": os.getpid(), "since": rfc3339(time.time())}
        os.write(descriptor, json.dumps(text).encode())
        self._fd = descriptor
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lock back."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None


def read_holder(path: Path) -> tuple[int | None, str | None]:
    """Who wrote the lock file: (process id, since when), or (None, None) when nobody holds it."""
    try:
        holder = json.loads(path.read_text())
        return int(holder["pid"]), str(holder["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None

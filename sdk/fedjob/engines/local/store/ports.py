"""Ports on this machine that no other run of this user gets while ours lives.

A free port belongs to nobody until something listens on it; a run needs many, and starts its
listeners later, some of them again. So each port has a file that its holder locks; the kernel
releases the lock when the holder dies, however it dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
import stat
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from fedjob.errors import UnavailableError

FIRST, END = 20_000, 32_000
"""The ports given out: below the range from which the kernel takes ports of outgoing
connections.
"""


class NoFreePortError(UnavailableError):
    """All ports of the range are taken."""


class Ports(AbstractContextManager["Ports"]):
    """Ports held by this process until `release` or its death.

    Children do not inherit the locks. Safe for use from several threads, each with its own `Ports`.

    Examples:
        >>> with Ports() as ports:
        ...     http, grpc = ports.take(), ports.take()
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Keeps lock files in `folder`, by default one that all runs of this user share."""
        self._folder = folder or _runtime_folder()
        self._locks: dict[int, int] = {}

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self, *offsets: int) -> int:
        """A port that is free on 127.0.0.1 and now held.

        Args:
            *offsets: The ports at these distances are taken with it, all or none.

        Raises:
            NoFreePortError: None is left.
        """
        end = END - max(offsets, default=0)
        # A random order: runs that start together rarely try the same port.
        for port in random.sample(range(FIRST, end), end - FIRST):
            if self._take_all([port, *(port + offset for offset in offsets)]):
                return port
        raise NoFreePortError(
            f"127.0.0.1: no free port in {FIRST}-{END - 1}; stop other runs (their locks are in "
            f"{self._folder}) or other programs that listen there"
        )

    def release(self) -> None:
        """Gives all ports back."""
        while self._locks:
            _, lock = self._locks.popitem()
            os.close(lock)  # the file stays: deleting it would let two processes hold "the" lock

    def _take_all(self, ports: list[int]) -> bool:
        taken: dict[int, int] = {}
        for port in ports:
            lock = None if port in self._locks else _lock(self._folder / f"{port}.lock")
            if lock is not None:
                taken[port] = lock
            if lock is None or not _is_free(port):
                for held in taken.values():
                    os.close(held)
                return False
        self._locks.update(taken)
        return True


def _lock(path: Path) -> int | None:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))  # fails too when another listens on all addresses
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def _runtime_folder() -> Path:
    """One folder for all runs of this user, whatever their environment says."""
    user = os.getuid()
    session = Path(f"/run/user/{user}")
    base = session if os.access(session, os.W_OK) else Path("/tmp")  # noqa: S108 - checked below
    if not base.is_dir():
        base = Path(tempfile.gettempdir())
    folder = base / f"fedjob-ports-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user:
        raise UnavailableError(
            f"{folder}: it belongs to another user or is not a folder; delete it, so that port "
            f"locks can be kept there"
        )
    return folder

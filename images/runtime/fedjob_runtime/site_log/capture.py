"""Copies what this process and its children print to a file of bounded size."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Self

LIMIT = 8 * 1024 * 1024
"""Bytes that are kept of a site's log: the last ones."""
DRAIN_SECONDS = 2.0
"""Seconds in which the end of the output is read; a child that lives on may hold the pipe open."""
_CHUNK = 65536


class LogCapture:
    """Between `start` and `close`, everything printed to stdout and stderr is copied to `path`.

    A thread copies from a pipe, in which 64 KiB fit: a process that prints more waits for it, and
    what is in the pipe when this process is killed is lost. The file is appended to, so it has the
    output of every container of one pod. It is renamed when it has half of `limit` bytes; the file
    before stays beside it.

    Args:
        path: The file; its folder is made.
        limit: Bytes that are kept, at most, over both files.
    """

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self._path, self._limit = path, limit
        self._before = path.with_suffix(".1")
        self._lock = threading.Lock()
        self._written = 0
        self._originals: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def written(self) -> int:
        """Bytes copied so far: it grows when there is something new."""
        return self._written

    def start(self) -> None:
        """Redirects stdout and stderr, also of children that are started from now on."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _flush()
        read, write = os.pipe()
        self._originals = (os.dup(1), os.dup(2))
        for descriptor in (1, 2):
            os.dup2(write, descriptor)
        os.close(write)
        self._thread = threading.Thread(
            target=self._copy, args=(read, self._originals[0]), name="log", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Gives stdout and stderr back, once what was printed before is copied."""
        originals, self._originals = self._originals, None
        if originals is None or self._thread is None:
            return
        _flush()
        for descriptor, original in zip((1, 2), originals, strict=True):
            os.dup2(original, descriptor)
        self._thread.join(DRAIN_SECONDS)
        os.close(originals[1])
        if not self._thread.is_alive():
            os.close(originals[0])

    def tail(self) -> bytes:
        """The last bytes of the log, at most `limit`."""
        with self._lock:
            parts = [p.read_bytes() for p in (self._before, self._path) if p.exists()]
        return b"".join(parts)[-self._limit :]

    def _copy(self, read: int, original: int) -> None:
        chunk = min(_CHUNK, self._limit // 2)
        while data := os.read(read, chunk):
            _write_all(original, data)
            with self._lock:
                self._append(data)
        os.close(read)

    def _append(self, data: bytes) -> None:
        try:
            if self._path.exists() and self._path.stat().st_size + len(data) > self._limit // 2:
                self._path.replace(self._before)
            with self._path.open("ab") as file:
                file.write(data)
        except OSError:
            return  # a full disk must not cost the container's own log
        self._written += len(data)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()

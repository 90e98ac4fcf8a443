"""What an upload reads: a file of this machine, or bytes in memory."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from fedjob.engines.kubernetes.transfer.errors import FileChangedError


class UploadSource(Protocol):
    """The content of one uploaded file; read from several threads at once."""

    @property
    def size(self) -> int:
        """Bytes."""

    def open(self) -> BinaryIO:
        """The content, to be read from the start; the caller closes it."""

    def check(self) -> None:
        """See that the content is what its checksum was taken of.

        Raises:
            FileChangedError: It is not.
        """


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine, as it was when its checksum was taken.

    Attributes:
        path: Where it is.
        size: Bytes.
        changed: Its modification time, in nanoseconds.
    """

    path: Path
    size: int
    changed: int

    @classmethod
    def at(cls, path: Path) -> LocalFile:
        """The file as it is now."""
        found = path.stat()
        return cls(path, found.st_size, found.st_mtime_ns)

    def open(self) -> BinaryIO:
        """The file's content."""
        return open(self.path, "rb")

    def check(self) -> None:
        """See that the file is the same.

        Raises:
            FileChangedError: It was written, or deleted, since.
        """
        try:
            same = LocalFile.at(self.path) == self
        except OSError:
            same = False
        if not same:
            raise FileChangedError(
                f"{self.path} changed while it was being sent; let it be written to its end, then "
                f"submit again"
            )


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """A file that is held in memory."""

    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content)

    def open(self) -> BinaryIO:
        """The content."""
        return io.BytesIO(self.content)

    def check(self) -> None:
        """Bytes in memory do not change."""


def source_of(given: Path | bytes) -> UploadSource:
    """What to read for a file of this machine, or for content."""
    return MemoryFile(given) if isinstance(given, bytes) else LocalFile.at(given)

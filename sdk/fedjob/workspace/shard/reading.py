"""Opening a shard ZIP and reading its entries, with the limits checked on what really comes out."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from fedjob.errors import Fault
from fedjob.workspace.shard.entries import (
    ZIP_AGAIN,
    DamagedEntryError,
    Entry,
    InvalidShardError,
    ShardLimits,
)

_OTHER_FORMATS = (
    (0, b"\x1f\x8b", "a gzip file"),
    (257, b"ustar", "a tar file"),
    (0, b"7z\xbc\xaf", "a 7z file"),
    (0, b"Rar!", "a RAR file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ", "an xz file"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"<", "a web page or XML text"),
)
_TOTAL_SLACK = 64 << 20
_ENTRY = b"PK\x01\x02"
_SPLIT = "split it into several shards"


class _DirectoryGuard(io.RawIOBase):
    """The ZIP's file, which bounds the directory before zipfile makes an object of each entry.

    zipfile asks for the whole directory in one read, and takes no entry without a signature.
    """

    def __init__(self, inner: BinaryIO, shard: str, limits: ShardLimits) -> None:
        self._inner = inner
        self._shard = shard
        self._limits = limits
        self.opening = True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise zipfile.BadZipFile("its directory names an offset before the file")
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self.opening:
            return self._inner.read(size)
        limits = self._limits
        # What is at the end of the file bounds a read, not what the file says of itself.
        here = self._inner.tell()
        left = self._inner.seek(0, io.SEEK_END) - here
        self._inner.seek(here)
        if min(left, size if size >= 0 else left) > limits.max_directory_bytes:
            problem = f"has a directory of more than {limits.max_directory_bytes} bytes"
            raise InvalidShardError([Fault(self._shard, problem, _SPLIT)])
        data = self._inner.read(size)
        count = data.count(_ENTRY)
        if count > limits.max_files:
            problem = f"has {count} entries; at most {limits.max_files} are allowed"
            raise InvalidShardError([Fault(self._shard, problem, _SPLIT)])
        return data


@contextmanager
def opened_zip(file: BinaryIO, shard: str, limits: ShardLimits) -> Iterator[zipfile.ZipFile]:
    """The ZIP, its central directory read.

    Args:
        file: The ZIP, seekable.
        shard: The shard's file name, for messages.
        limits: How large its directory may be.

    Raises:
        InvalidShardError: No ZIP, a truncated one, one without entries, or with too many.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size == 0:
        raise InvalidShardError([Fault(shard, "is empty (0 bytes)", ZIP_AGAIN)])
    guard = _DirectoryGuard(file, shard, limits)
    try:
        archive = zipfile.ZipFile(cast("IO[bytes]", guard))
    except (zipfile.BadZipFile, struct.error, EOFError, ValueError, NotImplementedError) as error:
        raise InvalidShardError([_not_a_zip(file, shard, str(error))]) from None
    guard.opening = False
    with archive:
        if not archive.infolist():
            raise InvalidShardError([Fault(shard, "holds no file", ZIP_AGAIN)])
        yield archive


def _not_a_zip(file: BinaryIO, shard: str, detail: str) -> Fault:
    file.seek(0)
    head = file.read(512)
    for offset, magic, kind in _OTHER_FORMATS:
        if head[offset:].startswith(magic):
            return Fault(shard, f"is {kind}, not a ZIP", ZIP_AGAIN)
    if head.startswith(b"PK\x03\x04"):
        problem = f"is a ZIP whose end is missing or damaged ({detail})"
        return Fault(shard, problem, "copy or upload it again, or " + ZIP_AGAIN)
    return Fault(shard, f"is not a ZIP ({detail})", ZIP_AGAIN)


@dataclass(slots=True)
class Budget:
    """Counts what came out of one ZIP.

    Attributes:
        shard: The shard's file name.
        packed: Bytes of the ZIP itself.
        limits: What may come out.
        total: Bytes so far.
    """

    shard: str
    packed: int
    limits: ShardLimits
    total: int = 0

    def spend(self, entry: Entry, count: int, of_entry: int) -> None:
        """Adds `count` bytes of an entry that has given `of_entry` bytes so far.

        Raises:
            InvalidShardError: More than the limits allow: reading stops.
        """
        self.total += count
        limits = self.limits
        if self.total > limits.max_bytes:
            problem = f"unpacks to more than {limits.max_bytes} bytes"
            raise InvalidShardError([Fault(self.shard, problem, "split it into several shards")])
        packed = min(entry.info.compress_size, self.packed)
        too_dense = of_entry > limits.max_ratio * packed + limits.ratio_slack
        if too_dense or self.total > limits.max_ratio * self.packed + _TOTAL_SLACK:
            problem = f"unpacks to more than {limits.max_ratio} times its size, as ZIP bombs do"
            fix = "store images as PNG or JPEG rather than raw"
            raise InvalidShardError([Fault(f"{self.shard}: {entry.path}", problem, fix)])


class _Counted(io.RawIOBase):
    def __init__(self, inner: IO[bytes], entry: Entry, budget: Budget) -> None:
        self._inner = inner
        self._entry = entry
        self._budget = budget
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._inner.read(len(buffer))
        self._count += len(data)
        self._budget.spend(self._entry, len(data), self._count)
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def opened_entry(archive: zipfile.ZipFile, entry: Entry, budget: Budget) -> Iterator[BinaryIO]:
    """The entry's bytes, counted and checked as they come; leave the block after the last one.

    Raises:
        InvalidShardError: A limit is passed.
        DamagedEntryError: The bytes are damaged (CRC-32, truncated, no deflate).
    """
    try:
        with (
            archive.open(entry.info) as inner,
            io.BufferedReader(_Counted(inner, entry, budget), 1 << 18) as file,
        ):
            yield cast("BinaryIO", file)
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError),
        UnicodeDecodeError,  # the name beside the bytes, which `make fuzz` damaged
    ) as error:
        raise _damaged(entry, budget.shard, str(error)) from None


def _damaged(entry: Entry, shard: str, detail: str) -> DamagedEntryError:
    problem = f"is damaged: {detail or 'it ends too early'}"
    return DamagedEntryError(
        [Fault(f"{shard}: {entry.path}", problem, "copy or upload the ZIP again")]
    )

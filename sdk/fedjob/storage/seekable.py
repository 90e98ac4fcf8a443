"""An object read as a file, by ranges: for a ZIP's directory and manifest without its images."""

from __future__ import annotations

import errno
import io
from collections import OrderedDict
from collections.abc import Callable

LEAST = 256 * 1024
"""Bytes of the first range; a ZIP's directory usually fits into it."""
MOST = 4 * 1024 * 1024
"""Bytes of a range once reading goes straight on."""
_KEPT = 4


class SizedFile(io.RawIOBase):
    """A read-only file of known size with a position; a derived class reads at it.

    Args:
        size: In bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As files do; beyond the end is allowed and reads nothing."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            # As files do: zipfile takes it for a file that is too short.
            raise OSError(errno.EINVAL, f"seek to {base + offset}, before the start")
        self._position = base + offset
        return self._position


class RangedReader(SizedFile):
    """A read-only, seekable view of an object of known size.

    The last `_KEPT` ranges are kept, so that reading which alternates between a ZIP's directory (at
    the end) and an entry does not fetch them twice. A range that touches the end reaches back from
    it: `zipfile` looks there first, several times. Not safe for use from several threads.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        """Of an object of `size` bytes; `fetch` gives the bytes of a (start, length)."""
        super().__init__(size)
        self._fetch = fetch
        self._ranges: OrderedDict[int, bytes] = OrderedDict()
        self._length = LEAST
        self._next = -1

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fills the buffer as far as one range reaches."""
        if self._position >= self._size or not len(buffer):
            return 0
        start, data = self._range_at(self._position)
        piece = memoryview(data)[self._position - start :][: len(buffer)]
        memoryview(buffer)[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _range_at(self, position: int) -> tuple[int, bytes]:
        for start, data in self._ranges.items():
            if start <= position < start + len(data):
                self._ranges.move_to_end(start)
                return start, data
        self._length = min(self._length * 2, MOST) if position == self._next else LEAST
        start = position
        if position + self._length >= self._size:
            start = max(0, min(position, self._size - LEAST))
        data = self._fetch(start, min(self._length, self._size - start))
        if len(data) <= position - start:
            raise EOFError(f"the store sent {len(data)} bytes of a range from {start}")
        self._next = start + len(data)
        self._ranges[start] = data
        if len(self._ranges) > _KEPT:
            self._ranges.popitem(last=False)
        return start, data

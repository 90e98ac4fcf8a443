from __future__ import annotations

import io
import json
import random
import zipfile

import pytest

from fedjob.storage.seekable import LEAST, MOST, RangedReader


class Source:
    """Bytes that count how they were fetched."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fetched: list[tuple[int, int]] = []

    def __call__(self, start: int, length: int) -> bytes:
        self.fetched.append((start, length))
        return self.data[start : start + length]

    def open(self) -> io.BufferedReader:
        return io.BufferedReader(RangedReader(len(self.data), self))


@pytest.mark.parametrize("size", [0, 1, LEAST - 1, LEAST, LEAST + 1, 3 * LEAST + 17])
def test_reads_what_a_file_would(size: int) -> None:
    data = random.Random(size).randbytes(size)
    source = Source(data)
    file, like = source.open(), io.BytesIO(data)
    assert file.read() == data
    dice = random.Random(1)
    for _ in range(200):
        position, length = dice.randrange(size + 10), dice.randrange(5000)
        assert file.seek(position) == like.seek(position)
        assert file.read(length) == like.read(length)
        assert file.tell() == like.tell()
    assert file.seek(-size, io.SEEK_END) == 0
    assert all(0 < length <= MOST and start + length <= size for start, length in source.fetched)


def test_seek_before_the_start_is_refused() -> None:
    # An OSError, as of files: zipfile takes it for a file that is too short.
    with pytest.raises(OSError, match="before the start"):
        RangedReader(10, Source(b"x" * 10)).seek(-1)


def test_a_short_answer_is_an_error_and_not_an_early_end() -> None:
    with pytest.raises(EOFError):
        RangedReader(10, lambda _start, _length: b"").read(5)


def test_manifest_of_a_zip_is_read_without_its_images() -> None:
    """The directory and one entry of a 64 MiB ZIP cost two ranges."""
    buffer = io.BytesIO()
    line = json.dumps({"id": "1", "uri": "1.png", "y": 0})
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("manifest.ndjson", line)
        for index in range(16):
            archive.writestr(f"{index}.png", bytes(4 * 1024 * 1024))
    source = Source(buffer.getvalue())
    with zipfile.ZipFile(source.open()) as archive:
        assert archive.read("manifest.ndjson").decode() == line
    assert len(source.fetched) == 2
    assert sum(length for _, length in source.fetched) == 2 * LEAST


def test_reading_straight_on_takes_larger_ranges() -> None:
    source = Source(bytes(32 * 1024 * 1024))
    source.open().read()
    assert len(source.fetched) < 15

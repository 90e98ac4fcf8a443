"""Row 17: what comes out of a ZIP is counted and checked while it is read."""

import io
import struct
import tracemalloc
import zipfile

import pytest

from fedjob.workspace.shard.archive import (
    InvalidShardError,
    ShardLimits,
    inspect_shard,
)
from fedjob.workspace.shard.entries import Entry
from fedjob.workspace.shard.reading import Budget
from support.bombs.zips import packed
from support.workspace.shard_zips import GOOD, ONE, PNG, files_below, inspected, unpacked, zipped


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_stored_and_deflated_files_are_read(tmp_path, method):
    _, dest = unpacked(zipped(GOOD, method), tmp_path)
    assert files_below(dest) == GOOD


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_a_bound_are_refused(tmp_path, method):
    """465 bytes of bzip2 took 836 MiB."""
    bomb = zipped({**GOOD, "bomb": b"\0" * (64 << 20)}, method)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidShardError, match=f"bomb: is compressed by method {method}"):
            inspected(bomb)
        with pytest.raises(InvalidShardError, match=f"bomb: is compressed by method {method}"):
            unpacked(bomb, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert not (tmp_path / "home").exists()


def test_directory_of_too_many_entries_is_refused_before_it_is_read(monkeypatch):
    data = zipped({**GOOD, **{f"empty/{i}": b"" for i in range(200)}})
    made = []
    real = zipfile.ZipInfo.__init__

    def counted(*args, **named):
        made.append(1)
        real(*args, **named)

    monkeypatch.setattr(zipfile.ZipInfo, "__init__", counted)
    with pytest.raises(InvalidShardError, match=r"has 20\d entries; at most 100 are allowed"):
        inspected(data, limits=ShardLimits(max_files=100))
    assert made == []
    with pytest.raises(InvalidShardError, match="has a directory of more than 1000 bytes"):
        inspected(data, limits=ShardLimits(max_directory_bytes=1000))
    assert made == []


def test_directory_that_lies_about_its_count_is_counted():
    raw = bytearray(zipped({**GOOD, **{f"empty/{i}": b"" for i in range(200)}}))
    end = raw.rfind(b"PK\x05\x06")
    raw[end + 8 : end + 12] = struct.pack("<HH", 1, 1)
    with pytest.raises(InvalidShardError, match=r"has 20\d entries; at most 100 are allowed"):
        inspected(bytes(raw), limits=ShardLimits(max_files=100))


def test_a_damaged_file_is_found_by_its_checksum(tmp_path):
    data = zipped(GOOD, zipfile.ZIP_STORED).replace(PNG, PNG[::-1])
    with pytest.raises(InvalidShardError, match=r"images/a.png: is damaged: Bad CRC-32"):
        unpacked(data, tmp_path)
    assert not list((tmp_path / "home").iterdir())
    manifest = zipped(GOOD, zipfile.ZIP_STORED).replace(ONE, ONE.replace(b"1", b"2"))
    with pytest.raises(InvalidShardError, match=r"manifest.ndjson: is damaged"):
        inspected(manifest)


def test_a_bomb_is_stopped_while_reading(tmp_path):
    bomb = zipped({**GOOD, "bomb": b"\0" * (4 << 20)})
    limits = ShardLimits(ratio_slack=1 << 20)
    inspected(bomb, limits=limits)  # its manifest is fine
    with pytest.raises(InvalidShardError, match=r"bomb: unpacks to more than 200 times its size"):
        unpacked(bomb, tmp_path, limits=limits)
    assert not list((tmp_path / "home").iterdir())


def test_headers_that_lie_about_sizes_do_not_get_past(tmp_path):
    """The header says 10 bytes; the data holds 4 MiB."""
    raw = bytearray(zipped({**GOOD, "bomb": b"\0" * (4 << 20)}))
    at = raw.rfind(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 10)
    with pytest.raises(InvalidShardError, match="is damaged"):
        unpacked(bytes(raw), tmp_path)


def test_what_comes_out_is_counted_whatever_the_headers_say():
    budget = Budget("s.zip", 1000, ShardLimits(max_bytes=100))
    one = Entry(zipfile.ZipInfo("a"), "a")
    budget.spend(one, 100, 100)
    with pytest.raises(InvalidShardError, match="unpacks to more than 100 bytes"):
        budget.spend(one, 1, 101)


def test_entry_before_the_file_is_damaged() -> None:
    """Found by `make fuzz`: bytes cut off the front give negative offsets."""
    data = packed(**{"manifest.ndjson": b'{"id": "1", "uri": "a", "y": 1}', "a": b"x"})[1:]
    with pytest.raises(InvalidShardError, match="before the file"):
        inspect_shard(io.BytesIO(data), "a.zip")


def test_name_beside_the_bytes_that_is_no_text_is_damage() -> None:
    """Found by `make fuzz`: the flag says UTF-8."""
    data = bytearray(packed(**{"manifest.ndjson": b"{}"}))
    data[6:8] = (0x800).to_bytes(2, "little")
    data[30] = 0xFF
    with pytest.raises(InvalidShardError, match="is damaged"):
        inspect_shard(io.BytesIO(bytes(data)), "a.zip")

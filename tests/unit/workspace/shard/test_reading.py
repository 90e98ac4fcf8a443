"""Row 17: what comes out of a ZIP is counted and checked while it is read."""

import struct
import zipfile

import pytest

from fedjob.workspace.shard.archive import (
    InvalidShardError,
    ShardLimits,
)
from fedjob.workspace.shard.entries import Entry
from fedjob.workspace.shard.reading import Budget
from support.workspace.shard_zips import GOOD, ONE, PNG, files_below, inspected, unpacked, zipped


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_every_method_of_pythons_zipfile_is_read(tmp_path, method):
    _, dest = unpacked(zipped(GOOD, method), tmp_path)
    assert files_below(dest) == GOOD


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


def test_damaged_bzip2_is_refused(tmp_path):
    data = zipped({**GOOD, "large": bytes(range(256)) * 64}, zipfile.ZIP_BZIP2)
    at = data.find(b"BZh", data.find(b"large")) + 60
    with pytest.raises(InvalidShardError, match="large: is damaged"):
        unpacked(data[:at] + b"\x01\x02\x03" + data[at + 3 :], tmp_path)


def test_what_comes_out_is_counted_whatever_the_headers_say():
    budget = Budget("s.zip", 1000, ShardLimits(max_bytes=100))
    one = Entry(zipfile.ZipInfo("a"), "a")
    budget.spend(one, 100, 100)
    with pytest.raises(InvalidShardError, match="unpacks to more than 100 bytes"):
        budget.spend(one, 1, 101)

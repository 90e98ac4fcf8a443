"""Row 17: which entries of a ZIP may be unpacked."""

import json
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given

from fedjob.workspace.shard.archive import (
    InvalidShardError,
    ShardLimits,
)
from fedjob.workspace.shard.entries import name_problem, normalised
from support.workspace.shard_zips import GOOD, NAMES, PNG, inspected, unpacked, with_flag, zipped


def test_duplicate_names_are_refused():
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped([*GOOD.items(), ("images/a.png", b"other")])
    with pytest.raises(InvalidShardError, match="is there twice"):
        inspected(data)


def test_a_null_byte_in_a_name_is_refused():
    """zipfile cuts such names short, so that another file would be written."""
    data = zipped([*GOOD.items(), ("aaa/x.png", b"x")]).replace(b"aaa/x.png", b"a\0a/x.png")
    with pytest.raises(InvalidShardError, match="control character"):
        inspected(data)


def test_all_bad_entries_are_listed_up_to_twenty():
    with pytest.raises(InvalidShardError) as caught:
        inspected(zipped([*GOOD.items(), *((f"../{i}", b"") for i in range(30))]))
    assert len(caught.value.faults) == 21
    assert "and 10 more" in str(caught.value)


def test_too_many_files_and_too_many_bytes_are_refused():
    many = {**GOOD, **{f"f{i}": b"" for i in range(10)}}
    with pytest.raises(InvalidShardError, match="has 12 entries; at most 11"):
        inspected(zipped(many), limits=ShardLimits(max_files=11))
    inspected(zipped(many), limits=ShardLimits(max_files=12))
    large = zipped({**GOOD, "large": b"x" * 1000})
    with pytest.raises(InvalidShardError, match="at most 1000 are allowed"):
        inspected(large, limits=ShardLimits(max_bytes=1000))
    with pytest.raises(InvalidShardError, match="split the shard"):
        inspected(large, limits=ShardLimits(max_manifest_bytes=10))


def test_names_that_macos_writes_in_utf_8_without_the_flag_are_read(tmp_path):
    one = json.dumps({"id": "a", "uri": "fünf.png", "y": 1}).encode()
    data = with_flag(zipped({"manifest.ndjson": one, "fünf.png": PNG}), 0)
    raw = bytearray(data)
    for magic, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = 0
        while (at := raw.find(magic, at)) >= 0:
            flags = struct.unpack_from("<H", raw, at + offset)[0] & ~0x800
            raw[at + offset : at + offset + 2] = struct.pack("<H", flags)
            at += 4
    _, dest = unpacked(bytes(raw), tmp_path)
    assert (dest / "fünf.png").read_bytes() == PNG


def test_names_in_an_old_dos_code_page_are_read(tmp_path):
    data = zipped({**GOOD, "caf@.png": PNG}).replace(b"caf@.png", b"caf\x82.png")
    _, dest = unpacked(data, tmp_path)
    assert (dest / "café.png").read_bytes() == PNG


@given(NAMES)
def test_a_name_that_is_allowed_stays_within_the_folder(name):
    if name_problem(name) is not None:
        return
    root = Path("/home/worker/shard")
    assert os.path.normpath(root / name).startswith(str(root))
    path = normalised(name)
    assert not path.startswith("/")
    assert ".." not in path.split("/")
    assert os.path.normpath(root / path) == os.path.normpath(root / name)

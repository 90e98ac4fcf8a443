"""Rows 17, 18, 23, 27: shard ZIPs are inspected, unpacked and packed, and nothing gets out."""

import errno
import io
import json
import os
import stat
import struct
import zipfile

import pytest
from hypothesis import given

from fedjob.errors import EXIT_INVALID
from fedjob.workspace.shard.archive import (
    InvalidShardError,
    ManifestNotFoundError,
    NoSpaceError,
    inspect_shard,
    unpack_shard,
)
from fedjob.workspace.shard.manifest import InvalidManifestError
from support.workspace.shard_zips import (
    GOOD,
    NAMES,
    ONE,
    PNG,
    entry,
    files_below,
    inspected,
    unpacked,
    with_flag,
    zipped,
)


def test_a_shard_is_unpacked_as_it_was_packed(tmp_path):
    """Row 17."""
    more = {"images/b/": b"", "images/b/c.png": PNG, "__MACOSX/._a.png": b"x", ".DS_Store": b"x"}
    info, dest = unpacked(zipped({**GOOD, **more}), tmp_path)
    assert files_below(dest) == {**GOOD, "images/b/c.png": PNG}
    assert (info.name, info.files) == ("shard-1.zip", 3)
    assert info.size == len(ONE) + 2 * len(PNG)
    assert info.manifest.samples == 1
    assert info.manifest.where == "shard-1.zip: manifest.ndjson"
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["shard"]


def test_the_manifest_can_have_another_name(tmp_path):
    """Row 23."""
    data = zipped({"train.ndjson": ONE, "images/a.png": PNG})
    assert inspected(data, manifest_file="train.ndjson").manifest.samples == 1
    _, dest = unpacked(data, tmp_path, manifest_file="train.ndjson")
    assert (dest / "train.ndjson").read_bytes() == ONE
    with pytest.raises(ManifestNotFoundError) as caught:
        inspected(data.replace(b"train.ndjson", b"manifest.txt"), manifest_file="train.ndjson")
    assert str(caught.value).startswith("FileNotFoundError: train.ndjson")


NESTED = {
    "folder": (
        {"data/manifest.ndjson": ONE, "data/images/a.png": PNG},
        "data/manifest.ndjson",
        "cd data",
    ),
    "two-deep": (
        {"x/y/manifest.ndjson": ONE},
        "x/y/manifest.ndjson",
        "cd x/y && zip -r ../shard-1.zip",
    ),
    "case": ({"Manifest.NDJSON": ONE}, "Manifest.NDJSON", "rename it"),
    "nested-json": ({"data/manifest.json": ONE}, "data/manifest.json", "move it to the root"),
    "json": ({"manifest.json": ONE}, "manifest.json", "training.manifestFile: manifest.json"),
    "none": ({"a.png": PNG}, "has none in its 1 files", "add one"),
    "macos-only": ({"__MACOSX/manifest.ndjson": ONE, "a.png": PNG}, "has none", "add one"),
}


@pytest.mark.parametrize(("entries", "found", "fix"), NESTED.values(), ids=NESTED.keys())
def test_a_nested_or_missing_manifest_says_where_it_must_be(tmp_path, entries, found, fix):
    """Row 27."""
    for read in (inspected, lambda data: unpacked(data, tmp_path)):
        with pytest.raises(ManifestNotFoundError) as caught:
            read(zipped(entries))
        text = str(caught.value)
        assert text.startswith("FileNotFoundError: manifest.ndjson")
        assert found in text
        assert "it must be manifest.ndjson at the ZIP's root" in text
        assert fix in text
    assert not (tmp_path / "home").exists()


def with_method(data, method):
    raw = bytearray(data)
    at = raw.find(b"PK\x01\x02")
    raw[at + 10 : at + 12] = struct.pack("<H", method)
    return bytes(raw)


def cut(data, size):
    return data[:size]


# name: (bytes, what the message holds)
BAD_ZIPS = {
    "zero-bytes": (b"", "is empty (0 bytes)"),
    "no-entries": (zipped({}), "holds no file"),
    "text": (b"hello" * 100, "is not a ZIP"),
    "html": (b"<!doctype html><title>404</title>", "is a web page"),
    "gzip": (b"\x1f\x8b\x08" + b"\0" * 100, "is a gzip file"),
    "tar": (b"\0" * 257 + b"ustar" + b"\0" * 250, "is a tar file"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + b"\0" * 50, "is a 7z file"),
    "rar": (b"Rar!\x1a\x07" + b"\0" * 50, "is a RAR file"),
    "png": (b"\x89PNG\r\n" + b"\0" * 50, "is a PNG image"),
    "truncated": (cut(zipped(GOOD), -40), "end is missing or damaged"),
    "half": (cut(zipped(GOOD), 60), "end is missing or damaged"),
    "encrypted": (with_flag(zipped(GOOD), 0x1), "is encrypted"),
    "strong-encryption": (with_flag(zipped(GOOD), 0x40), "is encrypted"),
    "deflate64": (with_method(zipped(GOOD), 9), "compressed by method 9"),
    "absolute": (zipped([*GOOD.items(), ("/etc/passwd", b"x")]), "absolute path"),
    "parent": (zipped([*GOOD.items(), ("../x", b"x")]), "leaves the shard"),
    "parent-inside": (zipped([*GOOD.items(), ("a/../../x", b"x")]), "leaves the shard"),
    "parent-harmless": (zipped([*GOOD.items(), ("a/../x", b"x")]), "leaves the shard"),
    "backslash": (zipped([*GOOD.items(), ("..\\x", b"x")]), "backslash"),
    "drive": (zipped([*GOOD.items(), ("C:/x", b"x")]), "drive letter"),
    "control": (zipped([*GOOD.items(), ("a\nb", b"x")]), "control character"),
    "long-name": (zipped([*GOOD.items(), ("a" * 300, b"x")]), "too long"),
    "symlink": (
        zipped([*GOOD.items(), (entry("l", stat.S_IFLNK | 0o777), b"/etc")]),
        "symbolic link",
    ),
    "symlink-folder": (zipped([*GOOD.items(), (entry("l/", stat.S_IFLNK), b"/")]), "symbolic link"),
    "device": (zipped([*GOOD.items(), (entry("d", stat.S_IFCHR), b"")]), "device"),
    "fifo": (zipped([*GOOD.items(), (entry("d", stat.S_IFIFO), b"")]), "device, pipe"),
    "case": (zipped([*GOOD.items(), ("IMAGES/A.PNG", b"x")]), "is there twice"),
    "dot-twice": (zipped([*GOOD.items(), ("./images//a.png", b"x")]), "is there twice"),
    "unicode-twice": (zipped([*GOOD.items(), ("é", b"x"), ("e\u0301", b"y")]), "is there twice"),
    "file-and-folder": (zipped([*GOOD.items(), ("images", b"x")]), "needs it as a folder"),
    "file-and-folder-case": (zipped([*GOOD.items(), ("Images", b"x")]), "needs it as a folder"),
    "bad-manifest": (
        zipped({**GOOD, "manifest.ndjson": b"{"}),
        "manifest.ndjson line 1: is not JSON",
    ),
    "empty-manifest": (zipped({**GOOD, "manifest.ndjson": b""}), "holds no sample"),
    "missing-image": (zipped({"manifest.ndjson": ONE}), "uri 'images/a.png' is not in the shard"),
}


@pytest.mark.parametrize(("data", "problem"), BAD_ZIPS.values(), ids=BAD_ZIPS.keys())
def test_a_zip_that_cannot_be_used_is_refused_and_leaves_nothing(tmp_path, data, problem):
    """Issue 3: no path escape, no links out, each a clear message."""
    with pytest.raises((InvalidShardError, InvalidManifestError)) as looked:
        inspected(data)
    with pytest.raises((InvalidShardError, InvalidManifestError)) as tried:
        unpacked(data, tmp_path)
    assert str(looked.value) == str(tried.value)
    assert problem in str(looked.value)
    assert looked.value.exit_code == EXIT_INVALID
    assert all(fault.fix for fault in looked.value.faults)
    assert [p.name for p in tmp_path.iterdir()] == ["shard-1.zip"]


def test_a_bomb_in_the_manifest_is_stopped_when_it_is_inspected():
    bomb = zipped({**GOOD, "manifest.ndjson": ONE + b" " * (40 << 20)})
    with pytest.raises(InvalidShardError, match="200 times its size"):
        inspected(bomb)


def test_an_older_folder_is_replaced_only_by_a_whole_new_one(tmp_path):
    _, dest = unpacked(zipped(GOOD), tmp_path)
    (dest / "runs").mkdir()
    with pytest.raises(InvalidShardError):
        unpacked(zipped(GOOD, zipfile.ZIP_STORED).replace(PNG, PNG[::-1]), tmp_path)
    assert (dest / "images/a.png").read_bytes() == PNG
    assert (dest / "runs").is_dir()
    (dest.parent / ".shard.unpacking-killed").mkdir()
    unpacked(zipped({**GOOD, "new": b"1"}), tmp_path)
    assert files_below(dest) == {**GOOD, "new": b"1"}
    assert [p.name for p in dest.parent.iterdir()] == ["shard"]


def test_a_shard_that_does_not_fit_is_reported(tmp_path, monkeypatch):
    usage = __import__("shutil").disk_usage(tmp_path)._replace(free=5)
    monkeypatch.setattr("fedjob.workspace.shard.archive.shutil.disk_usage", lambda _: usage)
    with pytest.raises(NoSpaceError, match="has 5 free"):
        unpacked(zipped(GOOD), tmp_path)


def test_a_missing_zip_is_reported(tmp_path):
    with pytest.raises(InvalidShardError, match=r"s.zip: .* is not a file"):
        unpack_shard(tmp_path / "s.zip", tmp_path / "d")


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, NoSpaceError), (errno.EIO, OSError)])
def test_a_disk_that_fills_up_is_reported(tmp_path, monkeypatch, number, error):
    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fedjob.workspace.shard.archive.shutil.copyfileobj", full)
    with pytest.raises(error):
        unpacked(zipped(GOOD), tmp_path)
    assert not list((tmp_path / "home").iterdir())


class CountingFile(io.BytesIO):
    read_bytes = 0

    def read(self, size=-1):
        data = super().read(size)
        self.read_bytes += len(data)
        return data


def test_inspecting_a_shard_reads_its_directory_and_manifest_only():
    """Works over ranged GETs."""
    images = {f"images/{i}.png": os.urandom(100_000) for i in range(50)}
    file = CountingFile(zipped({**GOOD, **images}))
    assert inspect_shard(file, "s.zip").files == 52
    assert file.read_bytes < 100_000 < len(file.getvalue()) // 40


def test_an_optional_manifest_that_cannot_be_used_is_reported_and_not_refused():
    """Row 17: forms A and B."""
    bad = inspected(zipped({**GOOD, "manifest.ndjson": b"{}"}), needs_manifest=False)
    assert (bad.manifest, bad.has_manifest, len(bad.manifest_faults)) == (None, True, 3)
    none = inspected(zipped({"a.csv": b""}), needs_manifest=False)
    assert (none.manifest, none.has_manifest, len(none.manifest_faults)) == (None, False, 1)
    with pytest.raises(InvalidShardError, match="absolute path"):
        inspected(zipped({"/etc/x": b""}), needs_manifest=False)


def test_a_first_sample_that_is_not_an_image_is_noted():
    png = b"\x89PNG\r\n\x1a\n" + bytes(20)
    assert inspected(zipped({**GOOD, "images/a.png": png})).not_an_image == ""
    assert inspected(zipped(GOOD)).not_an_image == "images/a.png"
    damaged = zipped({**GOOD, "images/a.png": png}, zipfile.ZIP_STORED).replace(png, png[::-1])
    assert inspected(damaged).not_an_image == ""
    far = json.dumps({"id": "a", "uri": "https://example.org/a.png", "y": 1}).encode()
    assert inspected(zipped({"manifest.ndjson": far})).not_an_image == ""


@given(NAMES)
def test_a_zip_with_any_name_is_unpacked_within_or_refused(tmp_path_factory, name):
    """Whatever the name is, nothing appears outside of the folder."""
    tmp_path = tmp_path_factory.mktemp("any")
    info = zipfile.ZipInfo("x")
    info.filename = name
    try:
        data = zipped([*GOOD.items(), (info, b"payload")])
    except (UnicodeEncodeError, ValueError):
        return
    try:
        unpacked(data, tmp_path)
    except (InvalidShardError, InvalidManifestError):
        assert {p.name for p in tmp_path.iterdir()} <= {"shard-1.zip", "home"}
        return
    assert {p.name for p in tmp_path.iterdir()} == {"shard-1.zip", "home"}
    assert {p.name for p in (tmp_path / "home").iterdir()} == {"shard"}

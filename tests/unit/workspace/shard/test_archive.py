"""Rows 17, 18, 23, 27: shard ZIPs are looked into, unpacked and packed, and nothing gets out."""

import errno
import io
import json
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedjob.errors import EXIT_INVALID
from fedjob.workspace.shard.archive import (
    InvalidShardError,
    ManifestNotFoundError,
    NoSpaceError,
    ShardLimits,
    inspect_shard,
    pack_shard,
    unpack_shard,
)
from fedjob.workspace.shard.entries import Entry, name_problem, normalised
from fedjob.workspace.shard.manifest import InvalidManifestError
from fedjob.workspace.shard.reading import Budget

PNG = b"\x89PNG fake"
ONE = json.dumps({"id": "a", "uri": "images/a.png", "y": 1}).encode() + b"\n"
GOOD = {"manifest.ndjson": ONE, "images/a.png": PNG}


def zipped(entries, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for item in entries.items() if isinstance(entries, dict) else entries:
            archive.writestr(*item)
    return buffer.getvalue()


def entry(name, mode=stat.S_IFREG | 0o644):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def inspected(data, **options):
    return inspect_shard(io.BytesIO(data), "shard-1.zip", **options)


def unpacked(data, tmp_path, **options):
    path = tmp_path / "shard-1.zip"
    path.write_bytes(data)
    dest = tmp_path / "home" / "shard"
    return unpack_shard(path, dest, **options), dest


def files_below(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


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


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_every_method_of_pythons_zipfile_is_read(tmp_path, method):
    _, dest = unpacked(zipped(GOOD, method), tmp_path)
    assert files_below(dest) == GOOD


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


def with_flag(data, flag):
    """The ZIP with a general purpose flag set in every central directory entry."""
    raw, at = bytearray(data), 0
    while (at := raw.find(b"PK\x01\x02", at)) >= 0:
        raw[at + 8 : at + 10] = struct.pack("<H", struct.unpack_from("<H", raw, at + 8)[0] | flag)
        at += 4
    return bytes(raw)


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


def test_a_damaged_file_is_found_by_its_checksum(tmp_path):
    data = zipped(GOOD, zipfile.ZIP_STORED).replace(PNG, PNG[::-1])
    with pytest.raises(InvalidShardError, match=r"images/a.png: is damaged: Bad CRC-32"):
        unpacked(data, tmp_path)
    assert not list((tmp_path / "home").iterdir())
    manifest = zipped(GOOD, zipfile.ZIP_STORED).replace(ONE, ONE.replace(b"1", b"2"))
    with pytest.raises(InvalidShardError, match=r"manifest.ndjson: is damaged"):
        inspected(manifest)


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


def test_a_bomb_is_stopped_while_reading(tmp_path):
    bomb = zipped({**GOOD, "bomb": b"\0" * (4 << 20)})
    limits = ShardLimits(ratio_slack=1 << 20)
    inspected(bomb, limits=limits)  # its manifest is fine
    with pytest.raises(InvalidShardError, match=r"bomb: unpacks to more than 200 times its size"):
        unpacked(bomb, tmp_path, limits=limits)
    assert not list((tmp_path / "home").iterdir())


def test_a_bomb_in_the_manifest_is_stopped_when_looked_into():
    bomb = zipped({**GOOD, "manifest.ndjson": ONE + b" " * (40 << 20)})
    with pytest.raises(InvalidShardError, match="200 times its size"):
        inspected(bomb)


def test_headers_that_lie_about_sizes_do_not_get_past(tmp_path):
    """The header says 10 bytes; the data holds 4 MiB."""
    raw = bytearray(zipped({**GOOD, "bomb": b"\0" * (4 << 20)}))
    at = raw.rfind(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 10)
    with pytest.raises(InvalidShardError, match="is damaged"):
        unpacked(bytes(raw), tmp_path)


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


def test_a_shard_that_does_not_fit_is_said_so(tmp_path, monkeypatch):
    usage = __import__("shutil").disk_usage(tmp_path)._replace(free=5)
    monkeypatch.setattr("fedjob.workspace.shard.archive.shutil.disk_usage", lambda _: usage)
    with pytest.raises(NoSpaceError, match="has 5 free"):
        unpacked(zipped(GOOD), tmp_path)


def test_a_missing_zip_is_said_so(tmp_path):
    with pytest.raises(InvalidShardError, match=r"s.zip: .* is not a file"):
        unpack_shard(tmp_path / "s.zip", tmp_path / "d")


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


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, NoSpaceError), (errno.EIO, OSError)])
def test_a_disk_that_fills_up_is_said_so(tmp_path, monkeypatch, number, error):
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


def test_looking_into_a_shard_reads_its_directory_and_manifest_only():
    """Works over ranged GETs."""
    images = {f"images/{i}.png": os.urandom(100_000) for i in range(50)}
    file = CountingFile(zipped({**GOOD, **images}))
    assert inspect_shard(file, "s.zip").files == 52
    assert file.read_bytes < 100_000 < len(file.getvalue()) // 40


def test_packing_is_deterministic_and_can_be_unpacked(tmp_path):
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    for name, content in {**GOOD, ".DS_Store": b"x"}.items():
        (folder / name).write_bytes(content)
    first = pack_shard(folder, tmp_path / "a.zip").read_bytes()
    os.utime(folder / "images/a.png", (1, 1))
    (folder / "images/a.png").chmod(0o600)
    assert pack_shard(folder, folder / "b.zip").read_bytes() == first
    assert pack_shard(folder, folder / "b.zip").read_bytes() == first  # does not hold itself
    unpack_shard(tmp_path / "a.zip", tmp_path / "out")
    assert files_below(tmp_path / "out") == GOOD
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_is_no_shard_is_not_packed(tmp_path):
    with pytest.raises(InvalidShardError, match="is not a folder"):
        pack_shard(tmp_path / "none", tmp_path / "a.zip")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "back\\slash").write_bytes(b"")
    with pytest.raises(InvalidShardError) as caught:
        pack_shard(folder, tmp_path / "a.zip")
    assert "has no manifest.ndjson" in str(caught.value)
    assert "link: is a link" in str(caught.value)
    assert "has a backslash in its name" in str(caught.value)
    assert not (tmp_path / "a.zip").exists()


def test_a_folder_of_any_files_is_packed_where_no_manifest_is_needed(tmp_path):
    """Row 17: forms A and B."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.csv").write_bytes(b"1,2\n")
    path = pack_shard(folder, tmp_path / "a.zip", None)
    info = unpack_shard(path, tmp_path / "out", manifest_file=None)
    assert (info.files, info.manifest) == (1, None)
    assert (tmp_path / "out/train.csv").read_bytes() == b"1,2\n"


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
    far = json.dumps({"id": "a", "uri": "https://example.org/a.png", "y": 1}).encode()
    assert inspected(zipped({"manifest.ndjson": far})).not_an_image == ""


NAMES = st.lists(
    st.sampled_from(["..", ".", "", "a", "b.png", "C:", "\\", "~", "\0", "a b", "é", "..."]),
    min_size=1,
    max_size=6,
).map("/".join) | st.text(max_size=40)


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

"""Archives of files are unpacked in memory, within bounds, and hold plain files only."""

import gzip
import io
import tarfile
import tracemalloc
import zipfile

import pytest

from fedjob.workspace.files.archive import InvalidArchiveError, is_archive, unpack_files
from fedjob.workspace.files.rules import FileLimits

FILES = {"pkg/__init__.py": b"", "pkg/a.py": b"A = 1\n", "data/x.bin": bytes(range(256))}
SMALL = FileLimits(max_files=2, max_file_bytes=100, max_total_bytes=150)


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files, **types):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, kind in types.items():
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = "/etc/passwd"
            archive.addfile(info)
    return buffer.getvalue()


PACKERS = {"a.zip": zipped, "a.tar.gz": tarred, "a.tgz": tarred}


@pytest.mark.parametrize(("name", "pack"), PACKERS.items())
def test_an_archive_is_unpacked(name, pack):
    assert is_archive(name)
    assert unpack_files(pack(FILES), name) == FILES


def test_other_files_are_no_archives():
    assert not any(map(is_archive, ["a.tar", "a.py", "zip", "a.gz"]))


def test_folders_and_files_of_macos_are_left_out_and_dot_slash_is_plain():
    files = {"./a.py": b"x", "__MACOSX/._a": b"", ".DS_Store": b""}
    assert unpack_files(tarred(files, folder=tarfile.DIRTYPE), "a.tgz") == {"a.py": b"x"}
    assert unpack_files(zipped({**files, "folder/": b""}), "a.zip") == {"a.py": b"x"}


def test_paths_are_left_for_the_rules_to_refuse():
    assert "../evil.py" in unpack_files(tarred({"../evil.py": b""}), "a.tgz")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(kind):
    with pytest.raises(InvalidArchiveError, match=r"a\.tgz: link: is a link, device"):
        unpack_files(tarred({}, link=kind), "a.tgz")


def test_a_link_in_a_zip_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(InvalidArchiveError, match="is a link"):
        unpack_files(buffer.getvalue(), "a.zip")


BAD = {
    "not a zip": ("a.zip", b"no archive"),
    "not a tar": ("a.tgz", b"no archive"),
    "gzip of no tar": ("a.tgz", gzip.compress(b"x" * 600)),
    "cut zip": ("a.zip", zipped(FILES)[:-30]),
    "cut tar": ("a.tgz", tarred({"a": bytes(1000)})[:40]),
    "empty": ("a.zip", b""),
}


@pytest.mark.parametrize(("name", "data"), BAD.values(), ids=BAD.keys())
def test_a_damaged_archive_is_refused(name, data):
    with pytest.raises(InvalidArchiveError, match="cannot be unpacked"):
        unpack_files(data, name)


@pytest.mark.parametrize(("name", "pack"), PACKERS.items())
@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"a": bytes(10_000_000)}, "has more than 100 bytes"),
        ({"a": bytes(80), "b": bytes(80)}, "unpacks to more than 150 bytes"),
        ({"a": b"", "b": b"", "c": b""}, "or 2 files"),
    ],
)
def test_a_bomb_is_stopped_while_it_is_unpacked(name, pack, files, problem):
    with pytest.raises(InvalidArchiveError, match=problem):
        unpack_files(pack(files), name, SMALL)


def header_bomb():
    """A .tar.gz of a few hundred KB whose one header claims 256 MiB of attributes."""
    info = tarfile.TarInfo("pax")
    info.type = tarfile.XHDTYPE
    info.size = 256 << 20
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6) as file:
        file.write(info.tobuf())
        for _ in range(256):
            file.write(b"\0" * (1 << 20))
    return buffer.getvalue()


def bzip2_bomb():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("bomb", b"\0" * (64 << 20))
    return buffer.getvalue()


BOMBS = {
    "a.tar.gz": (header_bomb, "unpacks to more than all files may have together"),
    "a.zip": (bzip2_bomb, "is compressed by method 12; use deflate"),
    "many.zip": (lambda: zipped({f"{i}": b"" for i in range(5000)}), "has too many entries"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_an_archive_takes_no_more_memory_than_its_files_may(name):
    make, problem = BOMBS[name]
    data = make()
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArchiveError, match=problem):
            unpack_files(data, name)
        assert tracemalloc.get_traced_memory()[1] < 128 << 20
    finally:
        tracemalloc.stop()

"""Archives of files, unpacked in memory: nothing is written, links and devices are refused."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

from fedjob.errors import Fault, InvalidInputError
from fedjob.spec.models.model import ARCHIVE_SUFFIXES
from fedjob.workspace.files.rules import DEFAULT_LIMITS, FileLimits
from fedjob.workspace.shard.entries import METHODS, entry_name, is_system_file, normalised

_AGAIN = "pack it again, with plain files only"
_LESS = "leave out what is not needed"
_DEFLATE = "use deflate, or store it"
_ENTRY = b"PK\x01\x02"
_TAR_HEADERS = 4096
"""Bytes of the headers and padding of one file, its extended attributes included."""
_TAR_SLACK = 1 << 20


class InvalidArchiveError(InvalidInputError):
    """An archive of files cannot be used."""


def is_archive(name: str) -> bool:
    """Whether a file of this name is unpacked."""
    return name.endswith(ARCHIVE_SUFFIXES)


def unpack_files(data: bytes, name: str, limits: FileLimits = DEFAULT_LIMITS) -> dict[str, bytes]:
    """The files of a .zip, .tar.gz or .tgz, by their paths in it; their names are not checked.

    Args:
        data: The archive.
        name: Its name, for messages; its ending says what it is.
        limits: What may come out.

    Raises:
        InvalidArchiveError: It is damaged, too large, or holds links or devices.
    """
    members = _zip_members if name.endswith(".zip") else _tar_members
    files: dict[str, bytes] = {}
    total = 0
    try:
        for path, content in members(data, name, limits):
            total += len(content)
            files[path] = content
            if total > limits.max_total_bytes or len(files) > limits.max_files:
                problem = (
                    f"unpacks to more than {limits.max_total_bytes} bytes or "
                    f"{limits.max_files} files"
                )
                raise InvalidArchiveError([Fault(name, problem, _LESS)])
    except (
        *(tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError),
        *(NotImplementedError, RuntimeError, ValueError),
    ) as error:
        raise InvalidArchiveError([Fault(name, f"cannot be unpacked: {error}", _AGAIN)]) from None
    return files


def _zip_members(data: bytes, name: str, limits: FileLimits) -> Iterator[tuple[str, bytes]]:
    if data.count(_ENTRY) > 2 * limits.max_files:  # folders count too
        raise InvalidArchiveError([Fault(name, "has too many entries", _LESS)])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            path = entry_name(info)
            if info.compress_type not in METHODS:
                problem = f"is compressed by method {info.compress_type}"
                raise InvalidArchiveError([Fault(f"{name}: {path}", problem, _DEFLATE)])
            if info.is_dir() or is_system_file(path):
                continue
            if (info.external_attr >> 16) & 0o170000 not in (0, 0o100000):
                raise _refused(name, path)
            with archive.open(info) as file:
                yield _plain(path), _bounded(file.read(limits.max_file_bytes + 1), path, limits)


def _tar_members(data: bytes, name: str, limits: FileLimits) -> Iterator[tuple[str, bytes]]:
    # As a stream: a header may ask for gigabytes, which tarfile would read before anyone looks.
    most = limits.max_total_bytes + limits.max_files * _TAR_HEADERS + _TAR_SLACK
    stream = _BoundedGzip(data, name, most)
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as archive:
        for member in archive:
            if member.isdir() or is_system_file(member.name):
                continue
            file = archive.extractfile(member) if member.isreg() else None
            if file is None:
                raise _refused(name, member.name)
            content = file.read(limits.max_file_bytes + 1)
            yield _plain(member.name), _bounded(content, member.name, limits)


class _BoundedGzip:
    """What a .tar.gz unpacks to, up to a limit that headers count against too."""

    def __init__(self, data: bytes, name: str, limit: int) -> None:
        self._file = gzip.GzipFile(fileobj=io.BytesIO(data))
        self._name = name
        self._left = limit

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            problem = "unpacks to more than all files may have together"
            raise InvalidArchiveError([Fault(self._name, problem, _LESS)])
        return data


def _plain(path: str) -> str:
    """`./a` is how tar names `a`; everything else stays, to be refused by its name."""
    return normalised(path) if path.startswith("./") else path


def _bounded(content: bytes, path: str, limits: FileLimits) -> bytes:
    if len(content) > limits.max_file_bytes:
        problem = f"has more than {limits.max_file_bytes} bytes"
        raise InvalidArchiveError([Fault(path, problem, "put data into the shards")])
    return content


def _refused(name: str, path: str) -> InvalidArchiveError:
    problem = "is a link, device or other special file"
    return InvalidArchiveError([Fault(f"{name}: {path}", problem, _AGAIN)])

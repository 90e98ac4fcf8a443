"""The entries of a shard ZIP, and which of them may be unpacked.

Everything here is read from the ZIP's central directory (APPNOTE 4.3.12), so that it works over
ranged GETs. What the headers claim about sizes is checked again while reading: see `shard_reading`.
"""

from __future__ import annotations

import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

from fedjob.errors import Fault, InvalidInputError
from fedjob.reasons import Reason

MAX_FAULTS = 20
_ENCRYPTED = 0x1 | 0x40
_UTF8 = 0x800
# One read of bzip2 or LZMA can yield a gigabyte from 465 bytes; zipfile bounds deflate only.
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_BAD_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_DRIVE = re.compile(r"^[A-Za-z]:")

ZIP_AGAIN = "zip it again from inside its folder: `zip -r ../shard.zip .`"


class InvalidShardError(InvalidInputError):
    """A shard ZIP cannot be used.

    Attributes:
        reason: Its name in the catalogue.
    """

    reason = Reason.SHARD_UNSAFE


class DamagedEntryError(InvalidShardError):
    """An entry's bytes are not those that were packed."""


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """What a shard may hold.

    Attributes:
        max_files: Entries, folders included.
        max_bytes: Bytes of all files, unpacked.
        max_manifest_bytes: Bytes of the manifest, unpacked.
        max_ratio: Unpacked bytes per packed byte, of each entry and of the whole ZIP. Deflate
            reaches 1032; text and images stay well below 100.
        ratio_slack: Bytes of each entry that the ratio leaves out: small files may compress well.
        max_directory_bytes: Bytes of the central directory, which is held in memory.
    """

    max_files: int = 1_000_000
    max_bytes: int = 256 << 30
    max_manifest_bytes: int = 4 << 30
    max_ratio: int = 200
    ratio_slack: int = 16 << 20
    max_directory_bytes: int = 512 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the ZIP.

    Attributes:
        info: As zipfile reads it.
        path: Its normalised path, `/` between the parts.
    """

    info: zipfile.ZipInfo
    path: str


def name_problem(name: str) -> tuple[str, str] | None:
    """What is wrong with an entry's name, and what to do; None when it stays within the shard."""
    if not name:
        return "has no name", ZIP_AGAIN
    if _BAD_CHARACTERS.search(name):
        return "has a control character in its name", "rename the file"
    if "\\" in name:
        return "has a backslash in its name", f"use `/` between folders, or {ZIP_AGAIN}"
    if name.startswith("/"):
        return "has an absolute path", ZIP_AGAIN
    if _DRIVE.match(name):
        return "has a drive letter in its name", ZIP_AGAIN
    parts = name.split("/")
    if ".." in parts:
        return "leaves the shard by `..`", ZIP_AGAIN
    if any(len(part.encode()) > 255 for part in parts) or len(name.encode()) > 2048:
        return "has a name that is too long", "use names of at most 255 bytes"
    return None


def normalised(name: str) -> str:
    """The path without empty and `.` parts."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def entries_of(infos: Iterable[zipfile.ZipInfo], shard: str, limits: ShardLimits) -> list[Entry]:
    """The files that a shard's unpacked folder holds; folders and macOS's extra files left out.

    Args:
        infos: The central directory.
        shard: The shard's file name, for messages.
        limits: How much it may hold.

    Raises:
        InvalidShardError: Entries that must not be unpacked, at most `MAX_FAULTS` of them.
    """
    faults: list[Fault] = []
    seen: dict[str, str] = {}
    entries: list[Entry] = []
    count = total = 0
    for info in infos:
        count += 1
        total += info.file_size
        name = entry_name(info)
        problem = name_problem(name) or _kind_problem(info)
        if problem is not None:
            faults.append(Fault(_where(shard, name), *problem))
            continue
        path = normalised(name)
        if info.is_dir() or not path or is_system_file(path):
            continue
        key = _collision_key(path)
        if key in seen:
            same = f"is there twice, as {seen[key]!r} too"
            faults.append(
                Fault(_where(shard, name), same, "keep one of them (case does not count)")
            )
            continue
        seen[key] = path
        entries.append(Entry(info, path))
    faults += _folder_conflicts(entries, seen, shard)
    if count > limits.max_files:
        many = f"has {count} entries; at most {limits.max_files} are allowed"
        faults.insert(0, Fault(shard, many, "split it into several shards"))
    if total > limits.max_bytes:
        large = f"unpacks to {total} bytes; at most {limits.max_bytes} are allowed"
        faults.insert(0, Fault(shard, large, "split it into several shards"))
    if faults:
        raise InvalidShardError(bounded(faults, shard))
    return entries


def entry_name(info: zipfile.ZipInfo) -> str:
    """The entry's name; macOS and Info-ZIP write UTF-8 without the flag that says so."""
    name = info.orig_filename
    if info.flag_bits & _UTF8 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def is_system_file(path: str) -> bool:
    """Whether macOS added it beside the user's files."""
    parts = path.split("/")
    return parts[0] == "__MACOSX" or parts[-1] == ".DS_Store"


def bounded(faults: list[Fault], shard: str) -> list[Fault]:
    """The first `MAX_FAULTS` faults, and how many more there are."""
    more = len(faults) - MAX_FAULTS
    if more <= 0:
        return faults
    return [*faults[:MAX_FAULTS], Fault(shard, f"and {more} more faults", "correct these first")]


def _where(shard: str, name: str) -> str:
    shown = name[:120].encode("unicode_escape").decode() if not name.isprintable() else name[:120]
    return f"{shard}: {shown or '(no name)'}"


def _kind_problem(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a symbolic link", "put the file itself there (`zip -r` without `-y`)"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a device, pipe or socket", "remove it"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted", "zip it without a password"
    if info.compress_type not in METHODS:
        problem = f"is compressed by method {info.compress_type}, which is not supported"
        return problem, "use deflate, or store it"
    return None


def _collision_key(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _folder_conflicts(entries: list[Entry], seen: dict[str, str], shard: str) -> list[Fault]:
    faults, reported = [], set()
    for entry in entries:
        key = _collision_key(entry.path)
        while "/" in key:
            key = key.rpartition("/")[0]
            if key in seen and key not in reported:
                reported.add(key)
                problem = f"is a file, and {entry.path!r} needs it as a folder"
                faults.append(Fault(_where(shard, seen[key]), problem, "rename one of them"))
    return faults

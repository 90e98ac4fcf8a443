"""Shard ZIPs: inspected, unpacked and packed, safely.

A shard is one worker's data: a ZIP of any files. Where fedjob itself reads the samples (form C, the
built-in evaluation) it has a manifest at its root and the files that it names (CONTRACT rows 17,
18, 23 and 27).
"""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from fedjob.errors import Fault, UnavailableError
from fedjob.reasons import Reason
from fedjob.workspace.shard.entries import (
    DamagedEntryError,
    Entry,
    InvalidShardError,
    ShardLimits,
    bounded,
    entries_of,
)
from fedjob.workspace.shard.image_head import HEAD_BYTES, begins_like_an_image
from fedjob.workspace.shard.manifest import (
    InvalidManifestError,
    ManifestSummary,
    read_lines,
    scan_manifest,
)
from fedjob.workspace.shard.pack import pack_shard
from fedjob.workspace.shard.reading import Budget, opened_entry, opened_zip
from fedjob.workspace.shard.unicode_names import normal_form

__all__ = [
    "MANIFEST",
    "InvalidShardError",
    "ManifestNotFoundError",
    "NoSpaceError",
    "ShardInfo",
    "ShardLimits",
    "inspect_shard",
    "pack_shard",
    "unpack_shard",
]

MANIFEST = "manifest.ndjson"
DEFAULT_LIMITS = ShardLimits()


class ManifestNotFoundError(InvalidShardError):
    """The manifest is not at the ZIP's root; the text begins `FileNotFoundError: <manifest>`."""

    reason = Reason.MANIFEST_MISSING


class NoSpaceError(UnavailableError):
    """The disk has no room for the unpacked shard."""

    reason = Reason.NO_SPACE


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """What a shard holds.

    Attributes:
        name: Its file name.
        files: Files, the manifest included.
        size: Bytes unpacked.
        packed: Bytes of the ZIP.
        manifest: What its manifest holds; None where it was not asked for or cannot be used.
        manifest_faults: Why an optional manifest cannot be used; empty where it can.
        has_manifest: There is a file of the manifest's name at the root.
        not_an_image: The first sample's file, where it does not begin like an image; else empty.
    """

    name: str
    files: int
    size: int
    packed: int
    manifest: ManifestSummary | None
    manifest_faults: tuple[Fault, ...] = ()
    has_manifest: bool = False
    not_an_image: str = ""


def inspect_shard(
    file: BinaryIO,
    name: str,
    manifest_file: str = MANIFEST,
    limits: ShardLimits = DEFAULT_LIMITS,
    *,
    needs_manifest: bool = True,
) -> ShardInfo:
    """Checks a shard by its central directory and its manifest; nothing else is read.

    Args:
        file: The ZIP, seekable; ranged GETs are enough.
        name: The shard's file name, for messages.
        manifest_file: `training.manifestFile`.
        limits: What it may hold.
        needs_manifest: fedjob reads the samples by the manifest. False: the author's code reads the
            shard; a manifest that is missing or cannot be used is in `manifest_faults`.

    Raises:
        InvalidShardError: The ZIP cannot be used; ManifestNotFoundError when it needs a manifest
            and has none.
        InvalidManifestError: It needs a manifest, which has lines that cannot be used.
    """
    with opened_zip(file, name, limits) as archive:
        entries = entries_of(archive.infolist(), name, limits)
        info = replace(
            _sizes(entries, name=name, packed=_packed(file)),
            has_manifest=any(entry.path == manifest_file for entry in entries),
        )
        try:
            summary = _summary(archive, entries, info, manifest_file, limits)
        except (ManifestNotFoundError, InvalidManifestError) as error:
            if needs_manifest:
                raise
            return replace(info, manifest_faults=error.faults)
        other = _not_an_image(archive, entries, summary.first_path)
        return replace(info, manifest=summary, not_an_image=other)


def unpack_shard(
    path: str | Path,
    dest: str | Path,
    limits: ShardLimits = DEFAULT_LIMITS,
    manifest_file: str | None = MANIFEST,
    *,
    name: str | None = None,
) -> ShardInfo:
    """Unpacks a shard: `dest` holds all of it afterwards, or is as it was before.

    Args:
        path: The ZIP.
        dest: The folder; one that is there is replaced.
        limits: What the shard may hold.
        manifest_file: `training.manifestFile`, which is checked first; None: the shard was checked
            before, or the author's code reads it.
        name: What messages call the shard; None is the file's name.

    Raises:
        InvalidShardError: The ZIP cannot be used; ManifestNotFoundError when it has no manifest.
        InvalidManifestError: The manifest has lines that cannot be used.
        NoSpaceError: The disk has no room for it.
    """
    path, dest = Path(path), Path(os.path.abspath(dest))
    shard = name or path.name
    try:
        file = path.open("rb")
    except (FileNotFoundError, IsADirectoryError):
        missing = Fault(shard, f"{path} is not a file", "check the path")
        raise InvalidShardError([missing]) from None
    with file, opened_zip(file, shard, limits) as archive, _room(shard):
        entries = entries_of(archive.infolist(), shard, limits)
        info = _sizes(entries, name=shard, packed=_packed(file))
        if manifest_file is not None:
            summary = _summary(archive, entries, info, manifest_file, limits)
            info = replace(info, manifest=summary)
        dest.parent.mkdir(parents=True, exist_ok=True)
        _check_space(dest.parent, info)
        prefix = f".{dest.name}.unpacking-"
        for left in dest.parent.glob(f"{glob.escape(prefix)}*"):  # of a process that was killed
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(
            prefix=prefix, dir=dest.parent, ignore_cleanup_errors=True
        ) as scratch:
            unpacked = Path(scratch) / "new"
            unpacked.mkdir()
            _extract(archive, entries, unpacked, Budget(shard, info.packed, limits))
            if dest.exists() or dest.is_symlink():
                dest.rename(Path(scratch) / "old")
            unpacked.rename(dest)
    return info


def _packed(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _sizes(entries: Sequence[Entry], *, name: str, packed: int) -> ShardInfo:
    size = sum(entry.info.file_size for entry in entries)
    return ShardInfo(name=name, files=len(entries), size=size, packed=packed, manifest=None)


def _not_an_image(archive: zipfile.ZipFile, entries: Sequence[Entry], path: str) -> str:
    """`path`, where its file does not begin like an image; else an empty text."""
    wanted = normal_form(path)
    entry = next((entry for entry in entries if normal_form(entry.path) == wanted), None)
    if entry is None:
        return ""  # all samples are downloaded
    try:
        with archive.open(entry.info) as file:
            return "" if begins_like_an_image(file.read(HEAD_BYTES)) else path
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError):
        return ""  # a damaged file is found when the shard is unpacked


def _summary(
    archive: zipfile.ZipFile,
    entries: Sequence[Entry],
    info: ShardInfo,
    manifest_file: str,
    limits: ShardLimits,
) -> ManifestSummary:
    files = {entry.path: entry for entry in entries}
    if manifest_file not in files:
        raise ManifestNotFoundError([_manifest_fault(info.name, manifest_file, files)])
    entry = files[manifest_file]
    where = f"{info.name}: {manifest_file}"
    if entry.info.file_size > limits.max_manifest_bytes:
        large = f"has {entry.info.file_size} bytes; at most {limits.max_manifest_bytes} are allowed"
        raise InvalidShardError([Fault(where, large, "split the shard")])
    with opened_entry(archive, entry, Budget(info.name, info.packed, limits)) as lines:
        return scan_manifest(read_lines(lines), where, known_files=files.keys())


def _manifest_fault(name: str, manifest_file: str, files: Collection[str]) -> Fault:
    """Row 27: where it was found, where it must be, and how to get it there."""
    wanted = manifest_file.casefold()
    nested = sorted(path for path in files if path.rpartition("/")[2].casefold() == wanted)
    similar = sorted(path for path in files if "manifest" in path.rpartition("/")[2].casefold())
    must = f"it must be {manifest_file} at the ZIP's root"
    if nested and "/" in nested[0]:
        folder = nested[0].rpartition("/")[0]
        found = f"{name} has it at {nested[0]}; {must}"
        fix = f"zip the folder's contents, not the folder: `cd {folder} && zip -r ../{name} .`"
    elif nested or similar:
        other = (nested or similar)[0]
        found = f"{name} has {other} instead; {must}"
        fix = f"rename it, or write training.manifestFile: {other}"
        if "/" in other:
            fix = "rename it, move it to the root and zip it again"
    else:
        found = f"{name} has none in its {len(files)} files; {must}"
        fix = "add one, with a line for each sample"
    # CONTRACT promises this beginning, which is what Python would say on the worker.
    return Fault(f"FileNotFoundError: {manifest_file}", found, fix)


@contextmanager
def _room(shard: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        msg = f"{shard}: {error.strerror}; free some space, or give the worker a larger disk"
        raise NoSpaceError(msg) from error


def _check_space(folder: Path, info: ShardInfo) -> None:
    free = shutil.disk_usage(folder).free
    if info.size > free:
        msg = (
            f"{info.name}: unpacks to {info.size} bytes, and {folder} has {free} free; "
            "free some space, or give the worker a larger disk"
        )
        raise NoSpaceError(msg)


def _extract(
    archive: zipfile.ZipFile, entries: Sequence[Entry], folder: Path, budget: Budget
) -> None:
    faults: list[Fault] = []
    made: set[Path] = set()
    for entry in entries:
        target = folder / entry.path
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        try:
            with opened_entry(archive, entry, budget) as source, target.open("xb") as sink:
                shutil.copyfileobj(source, sink, 1 << 18)
        except DamagedEntryError as error:
            faults += error.faults  # a passed limit ends the reading, a damaged file does not
    if faults:
        raise InvalidShardError(bounded(faults, budget.shard))

"""Packing a folder as a shard ZIP: the same files give the same bytes, and so the same checksum."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path

from fedjob.atomic_files import is_scratch, replacing
from fedjob.errors import Fault
from fedjob.workspace.shard.entries import InvalidShardError, is_system_file, name_problem

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first date that a ZIP can hold."""
_PACKED = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".gz", ".zip", ".mp4", ".npz"})
"""Compressed already: stored as they are."""


def pack_shard(
    folder: str | Path, path: str | Path, manifest_file: str | None = "manifest.ndjson"
) -> Path:
    """Writes the folder's contents as a ZIP that depends on names and bytes only.

    Args:
        folder: What the shard holds.
        path: The ZIP to write; one that is there is replaced at the end.
        manifest_file: `training.manifestFile`; None: the author's code reads the shard, which may
            hold any files.

    Returns:
        The ZIP's path.

    Raises:
        InvalidShardError: No such folder, no manifest in it, or files that a shard cannot hold.
    """
    folder, path = Path(folder), Path(path)
    files = _files(folder, path, manifest_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as scratch, zipfile.ZipFile(scratch, "w", allowZip64=True) as archive:
        for name in files:
            _add(archive, folder / name, name)
    return path


def _add(archive: zipfile.ZipFile, file: Path, name: str) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # Unix, on every system
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    stored = file.suffix.lower() in _PACKED
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    info.file_size = file.stat().st_size
    with file.open("rb") as source, archive.open(info, "w") as sink:
        shutil.copyfileobj(source, sink, 1 << 18)


def _files(folder: Path, target: Path, manifest_file: str | None) -> list[str]:
    if not folder.is_dir():
        raise InvalidShardError([Fault(str(folder), "is not a folder", "name the shard's folder")])
    names, faults = [], []
    for root, folders, files in os.walk(folder):
        for item in [*folders, *files]:
            file = Path(root) / item
            name = file.relative_to(folder).as_posix()
            mode = file.lstat().st_mode
            if stat.S_ISDIR(mode) or is_system_file(name) or is_scratch(item):
                continue
            if file.resolve() == target.resolve():
                continue
            problem = name_problem(name)
            if problem is not None:
                faults.append(Fault(f"{folder}/{name!a}", *problem))
            elif not stat.S_ISREG(mode):
                faults.append(Fault(str(file), "is a link or no file", "put the file itself there"))
            else:
                names.append(name)
    if manifest_file is not None and manifest_file not in names:
        wanted = f"has no {manifest_file}"
        faults.insert(0, Fault(str(folder), wanted, "write one line for each sample into it"))
    if faults:
        raise InvalidShardError(faults[:20])
    return sorted(names)

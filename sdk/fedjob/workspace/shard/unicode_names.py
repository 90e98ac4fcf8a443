"""File names that look the same but are not the same code points.

macOS writes decomposed names (NFD: `e` and a combining accent) into ZIPs, most editors write
composed ones (NFC) into manifests; on Linux the two are different files (Unicode Annex 15).
"""

from __future__ import annotations

import unicodedata
from pathlib import Path


def normal_form(name: str) -> str:
    """The name in NFC: equal for names that differ in their normal form only."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def existing_file(root: Path, path: str) -> Path:
    """The file that `path` names below `root`, in whichever normal form it is on the disk.

    Args:
        root: A folder, such as an unpacked shard.
        path: A relative path that stays in it, `/` between its parts, such as
            `fedjob.workspace.shard.uri.local_path` gives.

    Returns:
        The path as the disk has it; `root / path` where it has none.
    """
    exact = root / path
    if path.isascii() or exact.exists():
        return exact
    found = root
    for part in path.split("/"):
        found = found / _existing_name(found, part)
    return found


def _existing_name(folder: Path, name: str) -> str:
    if (folder / name).exists() or not folder.is_dir():
        return name
    wanted = normal_form(name)
    return next((item.name for item in folder.iterdir() if normal_form(item.name) == wanted), name)

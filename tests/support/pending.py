"""Folders that do not meet a rule of the house yet; each list only ever gets shorter.

A folder here may break the rule; everywhere else the rule holds. The tests print what is left.
When a folder is clean its line goes, and when a list is empty the list and its argument go.
`FEDJOB_HOUSE=strict pytest tests/unit/house` ignores the lists and so names every breach.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

LANGUAGE: tuple[str, ...] = ()
"""tests/unit/house/test_language.py"""
MIRRORED: tuple[str, ...] = ()
"""tests/unit/house/test_mirror.py"""
SHAPE: tuple[str, ...] = (
    "tests/e2e",
    "tests/integration",
    "tests/support",
    "tests/unit/runtime",
)
"""tests/unit/house/test_layout.py: folder sizes, file sizes, positional parameters."""
PATHS: tuple[str, ...] = ()
"""tests/unit/house/test_reference_pages.py: files that pages name, while modules still move."""


def not_pending(breaches: Iterable[tuple[Path, str]], pending: tuple[str, ...]) -> list[str]:
    """The breaches outside the pending folders, as lines; prints how many are left inside."""
    if os.environ.get("FEDJOB_HOUSE") == "strict":
        pending = ()
    left: dict[str, int] = {}
    found = []
    for path, text in breaches:
        folder = next((f for f in pending if path == Path(f) or path.is_relative_to(f)), None)
        if folder is None:
            found.append(f"{path}: {text}")
        else:
            left[folder] = left.get(folder, 0) + 1
    clean = [folder for folder in pending if folder not in left]
    for folder, count in sorted(left.items()):
        print(f"pending: {folder}: {count}")
    for folder in clean:
        print(f"clean, take it off the list: {folder}")
    return found

"""The repository's own files, for tests of its rules."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("sdk", "operator", "images")
"""Top folders that hold what is shipped."""


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks, or would after `git add`, relative to the repository's root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted({Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()})


def python_files(*tops: str) -> list[Path]:
    """Python files under the top folders, relative to the repository's root."""
    return [path for path in tracked(*tops) if path.suffix == ".py"]


@cache
def text_of(path: Path) -> str:
    """The text of a file, given relative to the repository's root."""
    return (ROOT / path).read_text("utf-8")

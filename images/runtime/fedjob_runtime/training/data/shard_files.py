"""Looking for a file of a shard that is not where it was asked for (CONTRACT row 27)."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

_SEARCHED = 20_000
"""Files looked at: a shard may hold a million."""


def elsewhere(root: Path, name: str) -> str | None:
    """The path in the shard of a file of that name, letter case aside; None where none is found."""
    wanted = name.casefold()
    paths = (path.relative_to(root) for path in islice(root.rglob("*"), _SEARCHED))
    return min((str(path) for path in paths if path.name.casefold() == wanted), default=None)

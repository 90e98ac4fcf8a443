"""The name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def nearest(name: str, names: Sequence[str], cutoff: float = 0.6) -> str | None:
    """The most similar of `names`, whatever its case; None where none is similar.

    Args:
        name: As written.
        names: What there is; of two that differ in case only, the first counts.
        cutoff: How similar it must be, from 0 to 1.
    """
    by_lower = {item.lower(): item for item in reversed(names)}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None

"""A bound of JSON that others wrote, by what it takes when it is parsed.

A value of two bytes takes sixty in memory, and one that a model refuses takes 2 KB more for its
error. So documents are counted before they are parsed, and lists of models end at the first entry
that is refused (`FailFast`).
"""

from __future__ import annotations

MOST_VALUES = 200_000
"""Values of a status or a commit; 256 workers with 100 metrics each have 26,000 in a commit."""


def has_too_many_values(text: bytes | str, most: int = MOST_VALUES) -> bool:
    """Whether JSON may have more than `most` values; texts with commas count as several."""
    data = text.encode() if isinstance(text, str) else text
    return sum(map(data.count, (b",", b"[", b"{"))) > most

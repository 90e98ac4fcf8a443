"""Numbers as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

EN_DASH = "\u2013"


def figure(value: float) -> str:
    """A metric: four significant digits, and no exponent between 0.0001 and a million."""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        decimals = max(0, 4 - len(str(int(abs(value))))) if abs(value) >= 1 else 4
        return f"{value:,.{decimals}f}"
    return f"{value:.3g}"


def count(value: int) -> str:
    """`1,447`."""
    return f"{value:,}"


def plural(number: int, noun: str) -> str:
    """`1 round`, `5 rounds`."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def short(value: str, limit: int) -> str:
    """At most `limit` characters, the last of them an ellipsis where something was cut."""
    return value if len(value) <= limit else value[: limit - 1] + "…"


def ranges(numbers: Iterable[int]) -> str:
    """`1-3, 5, 7-9` with en dashes, of numbers in any order."""
    spans: list[list[int]] = []
    for value in sorted(set(numbers)):
        if spans and value == spans[-1][1] + 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    shown = [
        str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}{EN_DASH}{b}" for a, b in spans
    ]
    return cut(shown, 12)


def cut(parts: Sequence[str], limit: int) -> str:
    """Joins with commas; what is beyond `limit` is counted."""
    more = len(parts) - limit
    return ", ".join(parts[:limit]) + (f" and {more} more" if more > 0 else "")

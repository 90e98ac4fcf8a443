"""Order of metrics, and numbers as text; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

_FIRST = ("val_accuracy", "val_loss", "accuracy", "loss")
_BARS = "▁▂▃▄▅▆▇█"


def in_order(names: Iterable[str], limit: int | None = None) -> list[str]:
    """Metric names, the well-known ones first, then by name; at most `limit`."""
    known = set(names)
    ordered = [name for name in _FIRST if name in known] + sorted(known - set(_FIRST))
    return ordered if limit is None else ordered[:limit]


def number(value: float | None) -> str:
    """Four significant digits; a dash for a missing or infinite value."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.4g}"


def sparkline(values: Sequence[float | None], width: int = 24) -> str:
    """The last `width` values as bars between their minimum and maximum; a gap where none is."""
    shown = list(values)[-width:]
    finite = [value for value in shown if value is not None and math.isfinite(value)]
    if not finite:
        return ""
    low, span = min(finite), max(finite) - min(finite)
    return "".join(
        " "
        if value is None or not math.isfinite(value)
        else _BARS[round((value - low) / span * (len(_BARS) - 1)) if span > 0 else 3]
        for value in shown
    )

"""Which metrics are shown first, and how numbers read; pure."""

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


def duration(seconds: float) -> str:
    """`0.4s`, `12s`, `3:05` or `1:02:03`."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: int) -> str:
    """Bytes for a person: `512 B`, `1.5 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"

"""Times, durations and sizes as text: one format of each, for every process and every reader."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def rfc3339(
    seconds: float, precision: Literal["seconds", "milliseconds", "microseconds"] = "seconds"
) -> str:
    """Seconds since the epoch as Kubernetes writes a time: RFC 3339 in UTC.

    Args:
        seconds: What is finer than the precision is cut off.
        precision: As `2026-01-02T03:04:05Z`, `...05.678Z`, or `...05.678901Z`, which is the
            MicroTime of a Lease.
    """
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec=precision)
    return moment.replace("+00:00", "Z")


def epoch(text: str | None) -> float | None:
    """Text as seconds since the epoch; None for no text, or for text that is not a time."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def duration(seconds: float) -> str:
    """`0.42 s`, `12.3 s`, `4 min 05 s`, `2 h 03 min`, `3 d 04 h`."""
    seconds = max(seconds, 0.0)
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def share(done: int, total: int) -> str:
    """How many bytes of how many, in one unit: `1.2 of 4.0 GB`."""
    power = 0
    while total / 1000**power >= 999.5 and power < len(_UNITS) - 1:
        power += 1
    digits = 1 if power else 0
    return f"{done / 1000**power:.{digits}f} of {total / 1000**power:.{digits}f} {_UNITS[power]}"


def size(count: int) -> str:
    """Bytes in powers of 1000, as SI has it: `40.9 KB`."""
    power = 0
    while count / 1000**power >= 999.5 and power < len(_UNITS) - 1:
        power += 1
    return f"{count / 1000**power:.3g} {_UNITS[power]}"

"""Lines of a site's log: those of one round. Pure; where the lines come from, engines know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:?\d\d)?")


def time_of(line: str) -> float | None:
    """Seconds since the epoch of the time that a line begins with; None where it has none.

    A time without a zone is this machine's, as Python's `logging` writes it.
    """
    match = _STAMP.match(line)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}")
        if zone == "Z":
            moment = moment.replace(tzinfo=UTC)
        elif zone:
            moment = datetime.fromisoformat(f"{day}T{clock}{zone}")
    except ValueError:
        return None
    return moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def between(lines: Iterable[str], start: float, end: float | None) -> Iterator[str]:
    """The lines from `start` on, up to `end`: those of one round.

    Args:
        lines: In order. One without a time belongs to the last one that has one.
        start: Seconds since the epoch.
        end: Seconds since the epoch; None: the round is under way, so every later line is its.
    """
    inside = False
    for line in lines:
        moment = time_of(line)
        if moment is not None:
            inside = start <= moment and (end is None or moment <= end)
        if inside:
            yield line

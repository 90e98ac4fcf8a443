"""From values to coordinates: linear scales and their ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from `low..high` to `start..end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The coordinate of a value."""
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def coordinate(value: float) -> str:
    """A coordinate as text: two decimals at most, no trailing zeros, never `-0`."""
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) that enclose low..high.

    Args:
        low: The smallest value, finite.
        high: The largest, finite and not below `low`.
        most: Steps wanted at most; at least 2, which a range around 0 needs.
    """
    if high - low <= 1e-9 * max(abs(high), abs(low), 1e-100):  # a flat line still needs an axis
        pad = abs(high) / 10 if abs(high) > 1e-100 else 1.0
        low, high = low - pad, high + pad
    step = _step((high - low) / most)
    while math.ceil(high / step - 1e-9) - math.floor(low / step + 1e-9) > most:
        step = _step(step * 1.01)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def round_ticks(first: int, last: int, most: int) -> list[int]:
    """Whole round numbers within first..last; both ends where only few fit."""
    if last - first < most:
        return list(range(first, last + 1))
    step = max(1, int(_step((last - first) / most)))
    return list(range(math.ceil(first / step) * step, last + 1, step))


def tick_label(value: float, step: float) -> str:
    """A tick with the decimals that its step needs."""
    if value != 0 and (abs(value) >= 1e6 or step < 1e-4):
        return f"{value:.3g}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{decimals}f}" if round(value, decimals) else "0"


def _step(atleast: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `atleast`."""
    power = 10.0 ** math.floor(math.log10(atleast))
    below = atleast * (1 - 1e-12)
    return next((factor * power for factor in (1, 2, 5) if factor * power >= below), 10 * power)

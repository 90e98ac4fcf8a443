"""How long to wait before something that failed is tried again. Pure: no clock, no randomness."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_DOUBLINGS = 60
"""Enough to reach any `longest`; more could overflow a float."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: `first`, then twice as long after each failure, up to `longest`.

    Attributes:
        first: Seconds after the first failure.
        longest: Upper bound in seconds, before jitter.
        jitter: Largest fraction by which a delay is lengthened or shortened at random, so that
            callers that failed together do not come back together; 0 means no jitter.
    """

    first: float
    longest: float
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """Refuses values that could not be delays.

        Raises:
            ValueError: `first` is negative or above `longest`, or `jitter` is outside [0, 1].
        """
        if not 0 <= self.first <= self.longest:
            raise ValueError(
                f"Backoff: first is {self.first} and longest is {self.longest}; "
                f"use 0 <= first <= longest"
            )
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"Backoff: jitter is {self.jitter}; use a fraction from 0 to 1")

    def delay(self, attempt: int, draw: float = 0.5) -> float:
        """Seconds to wait before the next attempt.

        Args:
            attempt: Failures in a row, this one included; 0 or less means no wait.
            draw: A random number in [0, 1), such as `random.random()`, which decides the jitter;
                0.5 is the delay without jitter.
        """
        if attempt <= 0:
            return 0.0
        base = min(self.longest, self.first * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))
        return base * (1.0 + self.jitter * (2.0 * draw - 1.0))

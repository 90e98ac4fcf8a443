"""What one run of one system gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import median

PHASES = ("registered", "submitted", "round opened")
"""Points on the way to the first round, in order; the last point is the first round itself."""


@dataclass(slots=True)
class RunFigures:
    """Times of one run, in seconds since its processes were started, and its memory.

    Attributes:
        system: Such as `fedjob`.
        case: Such as `small`.
        rounds: When each round was durable: committed to S3, or saved to disk.
        marks: When each of PHASES was reached.
        memory: Peak of the summed PSS of each group, in 10^6 bytes.
    """

    system: str
    case: str
    rounds: list[float] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    @property
    def first(self) -> float:
        """Seconds from the start of the processes to the first durable round."""
        return self.rounds[0]

    @property
    def a_round(self) -> float:
        """Median seconds of the rounds after the first."""
        return median(b - a for a, b in zip(self.rounds, self.rounds[1:], strict=False))

    @property
    def phases(self) -> dict[str, float]:
        """Seconds between the points on the way to the first round."""
        points: Mapping[str, float] = {**self.marks, "first round": self.first}
        seconds, before = {}, 0.0
        for name in (*PHASES, "first round"):
            seconds[name], before = points[name] - before, points[name]
        return seconds

    def as_json(self) -> dict[str, object]:
        """Everything, with what follows from it."""
        return {**asdict(self), "first": self.first, "a_round": self.a_round}

"""Commits -> the series that the charts draw. Pure; values that are not finite count as absent."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from fedjob.protocol.commit import Commit

VALIDATION = "val_"
PHASES = ("train", "aggregate", "evaluate", "commit", "other")
_LOWER_IS_BETTER = re.compile(r"(^|_)(loss|error|err|mae|mse|rmse|mape|perplexity|ppl|nll)(_|$)")


@dataclass(frozen=True, slots=True)
class Series:
    """One named line: (round, value) ascending by round; a round without a value is left out."""

    name: str
    points: tuple[tuple[int, float], ...]

    @property
    def validation(self) -> bool:
        """Of the global model on data no worker has."""
        return self.name.startswith(VALIDATION)

    @property
    def base(self) -> str:
        """The name without `val_`: a metric and its validation twin share it."""
        return self.name.removeprefix(VALIDATION)


def drawable(value: float) -> bool:
    """Whether a value can stand on an axis: finite, and so that differences stay finite too."""
    return math.isfinite(value) and abs(value) < 1e300


def lower_is_better(name: str) -> bool:
    """Whether a metric of this name is better when it is smaller."""
    return bool(_LOWER_IS_BETTER.search(name.lower().replace("-", "_")))


def is_loss(name: str) -> bool:
    """Whether a metric belongs in the chart of losses."""
    return "loss" in name.lower()


def metric_series(commits: Sequence[Commit]) -> list[Series]:
    """Every metric, validation first, then by name."""
    found: dict[str, list[tuple[int, float]]] = {}
    for commit in commits:
        for name, value in commit.metrics.items():
            if drawable(value):
                found.setdefault(name, []).append((commit.round, value))
    lines = [Series(name, tuple(points)) for name, points in found.items()]
    return sorted(lines, key=lambda line: (not line.validation, line.name))


def metric_groups(lines: Sequence[Series]) -> list[tuple[str, list[Series]]]:
    """Metrics by chart: the losses, those within 0..1, and each other base name on its own scale.

    Returns:
        (title, lines), the chart of values within 0..1 first.
    """
    losses = [line for line in lines if is_loss(line.name)]
    others = [line for line in lines if not is_loss(line.name)]
    wide = {line.base for line in others if any(not 0 <= value <= 1 for _, value in line.points)}
    groups = [
        ("Metrics by round", [line for line in others if line.base not in wide]),
        ("Loss by round", losses),
    ]
    rest = sorted((line for line in others if line.base in wide), key=lambda line: line.base)
    groups += [(f"{base} by round", list(same)) for base, same in groupby(rest, lambda s: s.base)]
    return [(title, group) for title, group in groups if group]


def headline(lines: Sequence[Series]) -> Series | None:
    """The metric to put first: validation before training, accuracy first, a loss last."""
    ranked = sorted(
        lines, key=lambda s: (not s.validation, s.base != "accuracy", is_loss(s.name), s.name)
    )
    return ranked[0] if ranked else None


def best(line: Series) -> tuple[int, float]:
    """(round, value) of the best point, the earliest of equals."""
    sign = 1 if lower_is_better(line.name) else -1
    return min(line.points, key=lambda point: (sign * point[1], point[0]))


def phases(commit: Commit) -> tuple[float, ...]:
    """Seconds of a round in the order of PHASES; `other` is what the total has beyond them."""
    times = commit.times
    known = (times.train, times.aggregate, times.evaluate, times.commit)
    return (*known, max(0.0, times.total - sum(known)))


def trained(commits: Sequence[Commit]) -> list[Commit]:
    """The rounds in which workers trained: all but round 0."""
    return [commit for commit in commits if commit.round > 0]


def client_seconds(commits: Sequence[Commit]) -> list[Series]:
    """Seconds from task to accepted answer, one line a client, by name."""
    found: dict[str, list[tuple[int, float]]] = {}
    for commit in commits:
        for participant in commit.participants:
            found.setdefault(participant.name, []).append((commit.round, participant.seconds))
    return [Series(name, tuple(found[name])) for name in sorted(found, key=natural)]


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key that puts worker-2 before worker-10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(p), "") if p.isascii() and p.isdigit() else (1, 0, p) for p in parts]

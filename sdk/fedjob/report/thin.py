"""Fewer points or bars where there are more rounds than pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import TypeVar

from fedjob.report.number_format import EN_DASH

T = TypeVar("T")
Point = tuple[int, float]


def thin_points(points: Sequence[Point], limit: int) -> list[Point]:
    """At most about `limit` points, with each bucket's smallest and largest, and both ends.

    A mean would hide the one bad round that a person looks for.
    """
    if len(points) <= limit:
        return list(points)
    kept = {0, len(points) - 1}
    for start, stop in _buckets(len(points), max(1, limit // 2)):
        inside = range(start, stop)
        kept.add(min(inside, key=lambda i: points[i][1]))
        kept.add(max(inside, key=lambda i: points[i][1]))
    return [points[i] for i in sorted(kept)]


@dataclass(frozen=True, slots=True)
class Bar:
    """The means over the rounds first..last."""

    first: int
    last: int
    means: tuple[float, ...]

    @property
    def label(self) -> str:
        """`7`, or `7-9` with an en dash."""
        same = self.first == self.last
        return str(self.first) if same else f"{self.first}{EN_DASH}{self.last}"


def mean_bars(rows: Sequence[tuple[int, Sequence[float]]], limit: int) -> list[Bar]:
    """At most `limit` bars, each of as many consecutive rounds as the others, give or take one.

    Args:
        rows: (round, values), ascending; all with as many values.
        limit: The most bars.
    """
    bars = []
    for start, stop in _buckets(len(rows), min(limit, len(rows))):
        inside = rows[start:stop]
        columns = zip(*(values for _, values in inside), strict=True)
        bars.append(Bar(inside[0][0], inside[-1][0], tuple(fmean(column) for column in columns)))
    return bars


def pick_evenly(items: Sequence[T], limit: int) -> list[T]:
    """At most `limit` of the items, evenly spread, the first and the last among them."""
    if len(items) <= limit:
        return list(items)
    step = (len(items) - 1) / (limit - 1)
    return [items[round(i * step)] for i in range(limit)]


def _buckets(total: int, buckets: int) -> list[tuple[int, int]]:
    edges = [round(i * total / buckets) for i in range(buckets + 1)] if buckets else []
    return list(pairwise(edges))

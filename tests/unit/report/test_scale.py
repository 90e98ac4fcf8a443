"""Ticks, coordinates and scales of the charts."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedjob.report.scale import Scale, coordinate, round_ticks, tick_label, ticks

FINITE = st.floats(-1e290, 1e290, allow_nan=False)


@settings(deadline=None)
@given(FINITE, FINITE, st.integers(2, 12))
def test_ticks_enclose_the_values_evenly(one: float, other: float, most: int) -> None:
    low, high = sorted((one, other))
    marks = ticks(low, high, most)
    step = marks[1] - marks[0]
    slack = 1e-6 * step + 1e-12 * max(abs(low), abs(high))
    assert marks[0] <= low + slack
    assert marks[-1] >= high - slack
    assert 2 <= len(marks) <= most + 2
    assert all(math.isclose(b - a, step, rel_tol=1e-6) for a, b in pairwise(marks))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.82, 0.97, [0.8, 0.85, 0.9, 0.95, 1.0]),
        (0, 2.2, [0, 0.5, 1, 1.5, 2, 2.5]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, 5) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, 5, [0, 1, 2, 3, 4, 5]),
        (1, 1, [1]),
        (0, 1000, [0, 200, 400, 600, 800, 1000]),
        (1, 40, [5, 10, 15, 20, 25, 30, 35, 40]),
    ],
)
def test_round_ticks(first: int, last: int, expected: list[int]) -> None:
    assert round_ticks(first, last, 8) == expected


@pytest.mark.parametrize(
    ("value", "step", "expected"),
    [
        (0.8, 0.2, "0.8"),
        (-0.0, 0.2, "0"),
        (0.25, 0.05, "0.25"),
        (1500.0, 500.0, "1,500"),
        (2e7, 1e7, "2e+07"),
        (3e-6, 1e-6, "3e-06"),
    ],
)
def test_tick_label(value: float, step: float, expected: str) -> None:
    assert tick_label(value, step) == expected


def test_scale_of_one_value_is_its_middle() -> None:
    assert Scale(3, 3, 0, 10)(3) == 5
    assert Scale(0, 10, 100, 0)(2.5) == 75


@pytest.mark.parametrize(
    ("value", "text"), [(-0.001, "0"), (1.10, "1.1"), (2.0, "2"), (3.456, "3.46"), (120.0, "120")]
)
def test_coordinate_has_two_decimals_at_most(value: float, text: str) -> None:
    assert coordinate(value) == text

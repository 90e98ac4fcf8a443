"""Fewer points, bars or rows, and what must stay among them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedjob.report.thin import mean_bars, pick_evenly, thin_points

FINITE = st.floats(-1e290, 1e290, allow_nan=False)


@settings(deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=900), st.integers(4, 200))
def test_thinning_keeps_the_ends_and_the_extremes(values: list[float], limit: int) -> None:
    points = list(enumerate(values))
    kept = thin_points(points, limit)
    assert len(kept) <= limit + 2
    assert kept == sorted(kept)
    assert {points[0], points[-1]} <= set(kept) <= set(points)
    assert min(value for _, value in kept) == min(values)
    assert max(value for _, value in kept) == max(values)


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 60))
def test_bars_cover_every_round_once(rounds: int, limit: int) -> None:
    bars = mean_bars([(n, (float(n), 1.0)) for n in range(1, rounds + 1)], limit)
    assert len(bars) == min(rounds, limit)
    assert [n for bar in bars for n in range(bar.first, bar.last + 1)] == list(range(1, rounds + 1))
    for bar in bars:
        assert bar.means == pytest.approx(((bar.first + bar.last) / 2, 1.0))


@settings(deadline=None)
@given(st.integers(0, 3000), st.integers(2, 100))
def test_pick_evenly(total: int, limit: int) -> None:
    picked = pick_evenly(range(total), limit)
    assert len(picked) == len(set(picked)) == min(total, limit)
    assert picked == sorted(picked)
    if total:
        assert (picked[0], picked[-1]) == (0, total - 1)

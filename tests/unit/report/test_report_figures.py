"""The small pure parts of the report: scales, thinning, words, which metric comes first."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedjob.protocol.commit import Commit, RoundTimes
from fedjob.report import words
from fedjob.report.markup import Html, number, tag, text
from fedjob.report.scale import Scale, round_ticks, tick_label, ticks
from fedjob.report.series import (
    Series,
    best,
    headline,
    lower_is_better,
    metric_groups,
    metric_series,
    natural,
    phases,
)
from fedjob.report.thin import mean_bars, pick_evenly, thin_points

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


def test_a_scale_of_one_value_is_its_middle() -> None:
    assert Scale(3, 3, 0, 10)(3) == 5
    assert Scale(0, 10, 100, 0)(2.5) == 75


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0.00 s"),
        (9.994, "9.99 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7380, "2 h 03 min"),
        (273_600, "3 d 04 h"),
    ],
)
def test_seconds(value: float, expected: str) -> None:
    assert words.seconds(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (41904, "41.9 KB"),
        (999_600, "1 MB"),
        (3_100_000_000, "3.1 GB"),
        (10**19, "1e+04 PB"),
    ],
)
def test_size(value: int, expected: str) -> None:
    assert words.size(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.95714, "0.9571"),
        (1.0, "1.000"),
        (12.3456, "12.35"),
        (-123456.7, "-123,457"),
        (0.00002, "2e-05"),
        (2.5e9, "2.5e+09"),
    ],
)
def test_figure(value: float, expected: str) -> None:
    assert words.figure(value) == expected


def test_ranges_and_cut() -> None:
    assert words.ranges([3, 1, 2, 7, 5, 8]) == "1\u20133, 5, 7, 8"
    assert words.ranges(range(0, 100, 2)).endswith(", 22 and 38 more")


def test_markup_escapes_what_is_not_markup_and_counts_zero_as_a_value() -> None:
    assert tag("p", "<b>", Html("<i>"), title='"') == '<p title="&quot;">&lt;b&gt;<i></p>'
    assert tag("rect", x=0.0, hidden=True, id=None) == '<rect x="0" hidden/>'
    assert text(text("&")) == "&amp;"
    assert [number(v) for v in (-0.001, 1.10, 2.0, 3.456)] == ["0", "1.1", "2", "3.46"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("loss", "val_loss", "val_RMSE", "top1-error", "perplexity")),
        *((name, False) for name in ("accuracy", "val_f1", "lossless", "auc", "terror")),
    ],
)
def test_lower_is_better(name: str, expected: bool) -> None:
    assert lower_is_better(name) is expected


def series(name: str, *values: float) -> Series:
    return Series(name, tuple(enumerate(values)))


def test_headline_prefers_validation_then_accuracy_then_anything_but_a_loss() -> None:
    lines = [series(n, 1) for n in ("accuracy", "loss", "val_loss", "val_auc", "val_accuracy")]
    order = []
    while lines:
        first = headline(lines)
        assert first
        order.append(first.name)
        lines.remove(first)
    assert order == ["val_accuracy", "val_auc", "val_loss", "accuracy", "loss"]
    assert headline([]) is None


def test_best_is_the_earliest_of_equals() -> None:
    assert best(series("accuracy", 0.1, 0.9, 0.9)) == (1, 0.9)
    assert best(series("val_loss", 0.3, 0.1, 0.1)) == (1, 0.1)


def test_metrics_are_grouped_by_scale() -> None:
    lines = [
        series("val_accuracy", 0.1, 0.9),
        series("accuracy", 0.2),
        series("loss", 2.0),
        series("val_loss", 0.5),
        series("val_perplexity", 0.9),
        series("perplexity", 120.0),
        series("reward", -2.0),
    ]
    groups = {title: [line.name for line in group] for title, group in metric_groups(lines)}
    assert groups == {
        "Metrics by round": ["val_accuracy", "accuracy"],
        "Loss by round": ["loss", "val_loss"],
        "perplexity by round": ["val_perplexity", "perplexity"],
        "reward by round": ["reward"],
    }


def test_series_leave_out_absent_and_infinite_values() -> None:
    stamps = {"attempt": 1, "sha256": "a", "size": 1, "started": "x", "ended": "y"}
    commits = [
        Commit(round=1, metrics={"a": 1.0, "b": math.nan}, **stamps),  # type: ignore[arg-type]
        Commit(round=2, metrics={"b": 2.0}, **stamps),  # type: ignore[arg-type]
        Commit(round=3, metrics={"a": math.inf, "val_b": 1.0}, **stamps),  # type: ignore[arg-type]
    ]
    assert {line.name: line.points for line in metric_series(commits)} == {
        "val_b": ((3, 1.0),),
        "a": ((1, 1.0),),
        "b": ((2, 2.0),),
    }


@pytest.mark.parametrize(("total", "other"), [(2.0, 0.5), (1.0, 0.0)])
def test_phases_add_up_and_other_is_never_negative(total: float, other: float) -> None:
    times = RoundTimes(train=1.0, aggregate=0.2, evaluate=0.2, commit=0.1, total=total)
    commit = Commit(round=1, attempt=1, sha256="", size=0, times=times, started="", ended="")
    assert phases(commit) == pytest.approx((1.0, 0.2, 0.2, 0.1, other))


def test_worker_2_comes_before_worker_10() -> None:
    assert sorted(["worker-10", "worker-2", "a", "worker-2b", "²"], key=natural) == [
        "a",
        "worker-2",
        "worker-2b",
        "worker-10",
        "²",
    ]

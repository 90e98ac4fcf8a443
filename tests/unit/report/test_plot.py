"""From values to shapes within the canvas."""

from __future__ import annotations

import pytest

from fedjob.report.plot import (
    BOTTOM,
    LEFT,
    MOST_BARS,
    MOST_DOTS,
    RIGHT,
    ROW,
    TOP,
    Line,
    bar_list,
    line_plot,
    stacked_plot,
    value_axis,
)
from fedjob.report.series import Series


def line(*points: tuple[int, float], colour: int = 0, dashed: bool = False) -> Line:
    return Line(Series("a", points), colour, dashed)


def shown(value: float) -> str:
    return f"<{value}>"


def test_first_line_is_drawn_on_top() -> None:
    plot = line_plot([line((1, 0.0), colour=0), line((1, 1.0), colour=1)], shown)
    assert [stroke.colour for stroke in plot.lines] == [1, 0]


def test_points_are_within_the_axes_and_have_tooltips() -> None:
    plot = line_plot([line((1, 0.0), (2, 5.0), (3, 10.0))], shown)
    (stroke,) = plot.lines
    assert [dot.title for dot in stroke.dots] == [
        "a, round 1: <0.0>", "a, round 2: <5.0>", "a, round 3: <10.0>"
    ]  # fmt: skip
    assert all(LEFT < dot.x < RIGHT and TOP <= dot.y <= BOTTOM for dot in stroke.dots)
    assert [dot.y for dot in stroke.dots] == sorted((dot.y for dot in stroke.dots), reverse=True)
    assert len(stroke.paths) == 1


def test_line_is_cut_where_rounds_are_missing_and_a_lonely_point_is_a_dot() -> None:
    many = [(n, 1.0) for n in range(MOST_DOTS)]
    (stroke,) = line_plot([line(*many, (90, 1.0))], shown).lines
    assert len(stroke.paths) == 1
    assert [dot.title for dot in stroke.dots] == ["a, round 90: <1.0>"]
    (stroke,) = line_plot([line((1, 1.0), (2, 1.0), (8, 1.0), (9, 1.0))], shown).lines
    assert len(stroke.paths) == 2


def test_vertical_axis_starts_at_zero_on_request_and_stays_within_limits() -> None:
    labels = [tick.label for tick in line_plot([line((1, 9.0))], shown, from_zero=True).grid]
    assert labels[0] == "0"
    limited = line_plot([line((1, 0.9), (2, 1.0))], shown, limits=(0.0, 1.0)).grid
    assert limited[-1].label.startswith("1")
    assert min(tick.at for tick in limited) >= TOP


def test_unit_follows_each_label() -> None:
    _, grid = value_axis(0, 2, " s")
    assert all(tick.label.endswith(" s") for tick in grid)


def test_stacked_parts_lie_on_each_other_and_parts_of_nothing_are_left_out() -> None:
    plot = stacked_plot(("train", "commit", "other"), [(1, (1.0, 0.0, 3.0))])
    low, high = plot.bars
    assert (low.colour, high.colour) == (0, 2)
    assert low.y + low.height == pytest.approx(BOTTOM)
    assert high.y + high.height == pytest.approx(low.y)
    assert high.title == "round 1, other: 3.00 s"


def test_many_rounds_share_bars() -> None:
    plot = stacked_plot(("train",), [(n, (1.0,)) for n in range(1, 1001)])
    assert len(plot.bars) == MOST_BARS
    assert all(bar.x >= LEFT and bar.x + bar.width <= RIGHT + 1e-6 for bar in plot.bars)
    assert "round 1\u2013" in plot.bars[0].title


def test_named_bars_share_a_scale_and_the_smallest_is_still_seen() -> None:
    bars = bar_list([("worker-0", "a.zip", 1_000_000), ("w" * 40, "", 0)])
    first, second = bars.rows
    assert (first.length, second.length) == (bars.width, 3.0)
    assert first.value == "1,000,000"
    assert second.name.endswith("…")
    assert second.title.startswith("w" * 40)
    assert (first.y, second.y) == (0.0, ROW)
    assert bars.canvas == "460 68"

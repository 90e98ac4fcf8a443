"""From values to shapes: lines, stacked bars and named bars with their axes, ready to be drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedjob.formats import duration
from fedjob.report.number_format import count, short
from fedjob.report.scale import Scale, coordinate, round_ticks, tick_label, ticks
from fedjob.report.series import Series
from fedjob.report.thin import Bar, Point, mean_bars, thin_points

WIDTH, HEIGHT = 460.0, 236.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 446.0, 12.0, 194.0
COLOURS = 8
"""Colours of style.css: classes c0 to c7."""
MOST_POINTS = 200
MOST_DOTS = 30
MOST_BARS = 60
ROW = 34.0
"""Height of a named bar with its text."""


@dataclass(frozen=True, slots=True)
class Line:
    """A series and how it is drawn.

    Attributes:
        series: At least one point.
        colour: 0 to COLOURS - 1.
        dashed: Distinguishes it from its solid twin without colour.
    """

    series: Series
    colour: int
    dashed: bool = False

    @property
    def mark(self) -> str:
        """Its classes in drawing and legend."""
        return f"c{self.colour}" + (" dashed" if self.dashed else "")


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis, at its coordinate along it."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A point with its tooltip."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line as drawn: path data for each stretch without a gap, and dots."""

    mark: str
    colour: int
    paths: Sequence[str]
    dots: Sequence[Dot]


@dataclass(frozen=True, slots=True)
class Rect:
    """A part of a stacked bar with its tooltip."""

    x: float
    y: float
    width: float
    height: float
    colour: int
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines or bars over rounds, with both axes.

    Attributes:
        grid: Values at their y, each with a line across.
        rounds: Rounds at their x.
        lines: From the bottom layer to the top one.
        bars: Parts of stacked bars.
    """

    grid: Sequence[Tick]
    rounds: Sequence[Tick]
    lines: Sequence[Stroke] = ()
    bars: Sequence[Rect] = ()
    left: float = LEFT
    right: float = RIGHT
    bottom: float = BOTTOM
    height: float = HEIGHT

    @property
    def canvas(self) -> str:
        """Width and height of the viewBox."""
        return f"{WIDTH:.0f} {self.height:.0f}"


@dataclass(frozen=True, slots=True)
class Row:
    """A named bar at its y.

    Attributes:
        y: Of its upper edge.
        name: Shortened to fit.
        beside: More about the name, shortened too.
        title: Both in full, as a tooltip.
        value: The label at the right.
        length: Of the bar.
    """

    y: float
    name: str
    beside: str
    title: str
    value: str
    length: float


@dataclass(frozen=True, slots=True)
class BarList:
    """Named bars, one below the other."""

    rows: Sequence[Row]
    width: float = WIDTH - 2

    @property
    def canvas(self) -> str:
        """Width and height of the viewBox."""
        return f"{WIDTH:.0f} {len(self.rows) * ROW:.0f}"


def line_plot(
    lines: Sequence[Line],
    shown: Callable[[float], str],
    *,
    unit: str = "",
    from_zero: bool = False,
    limits: tuple[float, float] | None = None,
) -> Plot:
    """Lines over rounds.

    Args:
        lines: At least one; the first is drawn on top.
        shown: How a value is written in tooltips.
        unit: Put after the labels of the vertical axis.
        from_zero: Let the vertical axis start at 0.
        limits: Values that no tick passes.
    """
    rounds = [at for line in lines for at, _ in line.series.points]
    values = [value for line in lines for _, value in line.series.points]
    low = min(0.0, *values) if from_zero else min(values)
    across = Scale(min(rounds), max(rounds), LEFT + 6, RIGHT - 6)
    up, grid = value_axis(low, max(values), unit, limits)
    marks = round_ticks(min(rounds), max(rounds), 8)
    return Plot(
        grid=grid,
        rounds=[Tick(across(at), str(at)) for at in marks],
        lines=[_stroke(line, across, up, shown) for line in reversed(lines)],
    )


def stacked_plot(names: Sequence[str], rows: Sequence[tuple[int, Sequence[float]]]) -> Plot:
    """Seconds by round, stacked.

    Args:
        names: The parts, from the bottom up; one colour each.
        rows: (round, seconds of each part), ascending by round; at least one.
    """
    bars = mean_bars(rows, MOST_BARS)
    up, grid = value_axis(0.0, max(sum(bar.means) for bar in bars), " s")
    band = (RIGHT - LEFT) / len(bars)
    width = min(44.0, band * (0.72 if len(bars) <= 30 else 0.9))
    across = Scale(0, len(bars), LEFT + band / 2, RIGHT + band / 2)
    marks = [
        Tick(across(place), str(mark))
        for mark in round_ticks(bars[0].first, bars[-1].last, 8)
        for place, bar in enumerate(bars)
        if bar.first <= mark <= bar.last
    ]
    parts = [
        part
        for place, bar in enumerate(bars)
        for part in _stack(across(place) - width / 2, width, bar, names, up)
    ]
    return Plot(grid=grid, rounds=marks, bars=parts)


def bar_list(bars: Sequence[tuple[str, str, int]]) -> BarList:
    """One bar a row.

    Args:
        bars: (name, note beside it, value at least 0), from the top; at least one.
    """
    across = Scale(0.0, float(max(1, *(value for _, _, value in bars))), 0.0, WIDTH - 2)
    return BarList(
        [
            Row(
                y=place * ROW,
                name=short(name, 28),
                beside=short(beside, 20),
                title=f"{name} {beside}",
                value=count(value),
                length=max(3.0, across(value)),
            )
            for place, (name, beside, value) in enumerate(bars)
        ]
    )


def value_axis(
    low: float, high: float, unit: str, limits: tuple[float, float] | None = None
) -> tuple[Scale, list[Tick]]:
    """A vertical scale for low..high and its ticks.

    Args:
        low: The smallest value.
        high: The largest.
        unit: Put after each label, such as ` s`; empty: none.
        limits: Values that a tick may not pass, such as 0 and 1.
    """
    marks = ticks(low, high, 5)
    step = marks[1] - marks[0]
    if limits:
        slack = step * 1e-6
        marks = [mark for mark in marks if limits[0] - slack <= mark <= limits[1] + slack] or marks
    scale = Scale(min(marks[0], low), max(marks[-1], high), BOTTOM, TOP)
    return scale, [Tick(scale(mark), tick_label(mark, step) + unit) for mark in marks]


def _stroke(line: Line, across: Scale, up: Scale, shown: Callable[[float], str]) -> Stroke:
    points = thin_points(line.series.points, MOST_POINTS)
    runs = _runs(points, gaps=len(points) == len(line.series.points))
    lonely = [run[0] for run in runs if len(run) == 1]
    return Stroke(
        mark=line.mark,
        colour=line.colour,
        paths=[_path(run, across, up) for run in runs if len(run) > 1],
        dots=[
            Dot(across(at), up(value), f"{line.series.name}, round {at}: {shown(value)}")
            for at, value in (points if len(points) <= MOST_DOTS else lonely)
        ],
    )


def _runs(points: Sequence[Point], *, gaps: bool) -> list[list[Point]]:
    """Cuts a line where rounds are missing, so that a gap is seen as one."""
    runs: list[list[Point]] = []
    for point in points:
        if runs and (not gaps or point[0] == runs[-1][-1][0] + 1):
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _path(points: Sequence[Point], across: Scale, up: Scale) -> str:
    steps = (f"{coordinate(across(at))} {coordinate(up(value))}" for at, value in points)
    return "M" + " L".join(steps)


def _stack(x: float, width: float, bar: Bar, names: Sequence[str], up: Scale) -> list[Rect]:
    parts, base = [], 0.0
    for colour, (name, value) in enumerate(zip(names, bar.means, strict=True)):
        bottom, top = up(base), up(base + value)
        if bottom - top > 0.02:
            title = f"round {bar.label}, {name}: {duration(value)}"
            parts.append(Rect(x, top, width, bottom - top, colour, title))
        base += value
    return parts

"""Values by round as lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedjob.report.frame import LEFT, RIGHT, Caption, Entry, figure, x_axis, y_axis
from fedjob.report.markup import Html, join, number, tag
from fedjob.report.scale import Scale, round_ticks
from fedjob.report.series import Series
from fedjob.report.thin import Point, thin_points

MOST_POINTS = 200
MOST_DOTS = 30


@dataclass(frozen=True, slots=True)
class Line:
    """A series and how it is drawn.

    Attributes:
        series: At least one point.
        colour: 0 to COLOURS - 1.
        dashed: Told apart from its solid twin without colour.
    """

    series: Series
    colour: int
    dashed: bool = False

    @property
    def mark(self) -> str:
        """Its classes in drawing and legend."""
        return f"c{self.colour}" + (" dashed" if self.dashed else "")


def line_chart(
    caption: Caption,
    lines: Sequence[Line],
    shown: Callable[[float], str],
    *,
    unit: str = "",
    from_zero: bool = False,
    limits: tuple[float, float] | None = None,
) -> Html:
    """Draws lines over rounds.

    Args:
        caption: Title and words.
        lines: At least one; the first is drawn on top.
        shown: How a value is written in legend and tooltips.
        unit: Put after the labels of the vertical axis.
        from_zero: Let the vertical axis start at 0.
        limits: Values that no tick passes.
    """
    rounds = [at for line in lines for at, _ in line.series.points]
    values = [value for line in lines for _, value in line.series.points]
    low = min(0.0, *values) if from_zero else min(values)
    across = Scale(min(rounds), max(rounds), LEFT + 6, RIGHT - 6)
    up, grid = y_axis(low, max(values), unit, limits)
    axis = x_axis([(at, str(at)) for at in round_ticks(min(rounds), max(rounds), 8)], across)
    drawn = join(_draw(line, across, up, shown) for line in reversed(lines))
    legend = [
        Entry(f"stroke {line.mark}", line.series.name, shown(line.series.points[-1][1]))
        for line in lines
    ]
    return figure(caption, join((grid, axis, drawn)), legend)


def _draw(line: Line, across: Scale, up: Scale, shown: Callable[[float], str]) -> Html:
    points = thin_points(line.series.points, MOST_POINTS)
    runs = _runs(points, gaps=len(points) == len(line.series.points))
    paths = [_path(run, across, up, line.mark) for run in runs if len(run) > 1]
    lonely = [run[0] for run in runs if len(run) == 1]
    dots = points if len(points) <= MOST_DOTS else lonely
    circles = [
        tag(
            "circle",
            tag("title", f"{line.series.name}, round {at}: {shown(value)}"),
            cx=across(at),
            cy=up(value),
            r=3.2,
            class_=f"dot c{line.colour}",
        )
        for at, value in dots
    ]
    return join((*paths, *circles))


def _runs(points: Sequence[Point], *, gaps: bool) -> list[list[Point]]:
    """Cuts a line where rounds are missing, so that a gap is seen as one."""
    runs: list[list[Point]] = []
    for point in points:
        if runs and (not gaps or point[0] == runs[-1][-1][0] + 1):
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _path(points: Sequence[Point], across: Scale, up: Scale, mark: str) -> Html:
    steps = " L".join(f"{number(across(at))} {number(up(value))}" for at, value in points)
    return tag("path", d=f"M{steps}", class_=f"line {mark}")

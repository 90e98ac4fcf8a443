"""Stacked bars by round, and plain bars by name."""

from __future__ import annotations

from collections.abc import Sequence

from fedjob.report.frame import LEFT, RIGHT, WIDTH, Caption, Entry, figure, x_axis, y_axis
from fedjob.report.markup import Html, join, tag
from fedjob.report.scale import Scale, round_ticks
from fedjob.report.thin import Bar, mean_bars
from fedjob.report.words import count, seconds, short

MOST_BARS = 60
ROW = 34.0


def stacked_bars(
    caption: Caption, names: Sequence[str], rows: Sequence[tuple[int, Sequence[float]]]
) -> Html:
    """Seconds by round, stacked.

    Args:
        caption: Title and words.
        names: The parts, from the bottom up; one colour each.
        rows: (round, seconds of each part), ascending by round; at least one.
    """
    bars = mean_bars(rows, MOST_BARS)
    up, grid = y_axis(0.0, max(sum(bar.means) for bar in bars), " s")
    band = (RIGHT - LEFT) / len(bars)
    width = min(44.0, band * (0.72 if len(bars) <= 30 else 0.9))
    across = Scale(0, len(bars), LEFT + band / 2, RIGHT + band / 2)
    marks = [
        (place, str(mark))
        for mark in round_ticks(bars[0].first, bars[-1].last, 8)
        for place, bar in enumerate(bars)
        if bar.first <= mark <= bar.last
    ]
    drawn = [
        _stack(across(place) - width / 2, width, bar, names, up) for place, bar in enumerate(bars)
    ]
    legend = [
        Entry(f"fill c{i}", name, seconds(sum(values[i] for _, values in rows)))
        for i, name in enumerate(names)
    ]
    return figure(caption, join((grid, x_axis(marks, across), *drawn)), legend)


def _stack(x: float, width: float, bar: Bar, names: Sequence[str], up: Scale) -> Html:
    parts, base = [], 0.0
    for i, (name, value) in enumerate(zip(names, bar.means, strict=True)):
        bottom, top = up(base), up(base + value)
        if bottom - top > 0.02:
            told = tag("title", f"round {bar.label}, {name}: {seconds(value)}")
            shape = {"x": x, "y": top, "width": width, "height": bottom - top}
            parts.append(tag("rect", told, **shape, class_=f"c{i}"))
        base += value
    return join(parts)


def named_bars(caption: Caption, bars: Sequence[tuple[str, str, int]]) -> Html:
    """One bar a row.

    Args:
        caption: Title and words.
        bars: (name, what is told beside it, value at least 0), from the top; at least one.
    """
    across = Scale(0.0, float(max(1, *(value for _, _, value in bars))), 0.0, WIDTH - 2)
    rows = []
    for place, (name, beside, value) in enumerate(bars):
        y = place * ROW
        label = (short(name, 28), " ", tag("tspan", short(beside, 20), class_="beside"))
        whole, thickness = WIDTH - 2, {"height": 6.0, "rx": 3.0}
        filled = max(3.0, across(value))
        rows += [
            tag("text", *label, tag("title", f"{name} {beside}"), x=0.0, y=y + 15, class_="row"),
            tag("text", count(value), x=whole, y=y + 15, class_="row value"),
            tag("rect", x=0.0, y=y + 21, width=whole, **thickness, class_="track"),
            tag("rect", x=0.0, y=y + 21, width=filled, **thickness, class_="c0"),
        ]
    return figure(caption, join(rows), (), height=len(bars) * ROW)

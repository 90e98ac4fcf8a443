"""The frame that all charts share: figure, title, description, axes, legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedjob.report.markup import Html, join, tag
from fedjob.report.scale import Scale, tick_label, ticks

WIDTH, HEIGHT = 460.0, 236.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 446.0, 12.0, 194.0
COLOURS = 8
"""Colours of style.css: classes c0 to c7."""


@dataclass(frozen=True, slots=True)
class Caption:
    """What a chart is called and what it says in words.

    Attributes:
        key: Unique on the page; ids derive from it.
        title: The heading.
        words: What the chart shows, for whoever cannot see it.
        table: The id of the table that holds the same data.
        note: Shown under the heading; empty: nothing.
    """

    key: str
    title: str
    words: str
    table: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a legend: the mark's class, what it stands for, and a figure."""

    mark: str
    name: str
    value: str


def figure(
    caption: Caption, drawing: Html, legend: Sequence[Entry], height: float = HEIGHT
) -> Html:
    """A chart with its heading, its drawing in words and its legend."""
    title, words = f"{caption.key}-title", f"{caption.key}-words"
    svg = tag(
        "svg",
        tag("title", caption.title, id=title),
        tag("desc", caption.words, id=words),
        drawing,
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        role="img",
        aria_labelledby=title,
        aria_describedby=words,
    )
    heading = tag(
        "figcaption",
        tag("h3", caption.title),
        tag(
            "a",
            "Table",
            href=f"#{caption.table}",
            aria_label=f"Table with the data of {caption.title}",
        ),
    )
    note = tag("p", caption.note, class_="note") if caption.note else ""
    items = [
        tag(
            "li",
            tag("span", class_=f"mark {entry.mark}", aria_hidden="true"),
            tag("bdi", entry.name, class_="name"),
            tag("b", entry.value),
        )
        for entry in legend
    ]
    return tag("figure", heading, note, svg, tag("ul", *items, class_="legend") if items else "")


def y_axis(
    low: float, high: float, unit: str, limits: tuple[float, float] | None = None
) -> tuple[Scale, Html]:
    """A vertical scale for low..high and its grid.

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
    lines = [
        join(
            (
                tag("line", x1=LEFT, x2=RIGHT, y1=scale(mark), y2=scale(mark), class_="grid"),
                tag(
                    "text", tick_label(mark, step) + unit, x=LEFT - 8, y=scale(mark) + 4, class_="y"
                ),
            )
        )
        for mark in marks
    ]
    return scale, join(lines)


def x_axis(labels: Sequence[tuple[float, str]], place: Callable[[float], float]) -> Html:
    """The horizontal axis with its labels, which are rounds."""
    return join(
        (
            tag("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis"),
            *(tag("text", label, x=place(at), y=BOTTOM + 18, class_="x") for at, label in labels),
            tag("text", "round", x=(LEFT + RIGHT) / 2, y=HEIGHT - 6, class_="x unit"),
        )
    )

"""The jobs of a namespace as a table, with kubectl's columns. Pure."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.table import Table
from rich.text import Text

from fedjob.cli.display.status_text import STATE_STYLES, left, since
from fedjob.engines.run_status import RunEvent, RunStatus


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job and when it was created."""

    status: RunStatus
    created: datetime


_GAP = 3
_LEAST = {"METRIC": 14, "NAME": 12, "NAMESPACE": 12}
"""Columns that are cut where the terminal is narrow, in this order, and to what at most."""


def jobs_table(
    lines: Sequence[JobLine], now: datetime, *, namespaces: bool = False, width: int | None = None
) -> Table:
    """One line a job.

    Args:
        lines: The jobs, in order.
        now: For ages.
        namespaces: Whether to show each job's namespace.
        width: Of the terminal; None: nothing is cut.
    """
    columns = ["NAME", "STATE", "ROUND", "CLIENTS", "METRIC", "ETA", "AGE"]
    rows = [_cells(line, now) for line in lines]
    if namespaces:
        columns.insert(0, "NAMESPACE")
        for row, line in zip(rows, lines, strict=True):
            row.insert(0, line.status.namespace)
    widths = [max(len(cell) for cell in cells) for cells in zip(columns, *rows, strict=True)]
    excess = sum(widths) + _GAP * (len(widths) - 1) - (width or sys.maxsize)
    for name, least in _LEAST.items():
        if name in columns and excess > 0:
            index = columns.index(name)
            taken = min(excess, max(widths[index] - least, 0))
            widths[index] -= taken
            excess -= taken
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for name, size in zip(columns, widths, strict=True):
        table.add_column(name, no_wrap=True, width=size)
    state = columns.index("STATE")
    for row, line in zip(rows, lines, strict=True):
        cells = [Text(_cut(cell, size)) for cell, size in zip(row, widths, strict=True)]
        cells[state].stylize(STATE_STYLES.get(line.status.state, ""))
        table.add_row(*cells)
    return table


def _cells(line: JobLine, now: datetime) -> list[str]:
    status = line.status
    return [
        status.name,
        str(status.state),
        status.rounds_text,
        status.clients_text,
        status.metric_text or "-",
        left(status, now),
        since(line.created, now),
    ]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def events_table(events: Sequence[RunEvent], now: datetime) -> Table:
    """One line an event; the last column is as wide as the terminal allows."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in ("AGE", "TYPE", "REASON", "ABOUT"):
        table.add_column(column, no_wrap=True)
    table.add_column("MESSAGE", overflow="fold")
    for event in events:
        times = f"{since(event.time, now)}" + (f" (x{event.count})" if event.count > 1 else "")
        style = "yellow" if event.type == "Warning" else ""
        table.add_row(
            times, Text(event.type, style=style), Text(event.reason), Text(event.about or "job"),
            Text(event.message),
        )  # fmt: skip
    return table

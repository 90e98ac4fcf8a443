"""The jobs of a namespace as a table, with kubectl's columns. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.table import Table
from rich.text import Text

from fedjob.cli.display.status_text import STATE_STYLES, eta, since
from fedjob.engines.run_status import RunEvent, RunStatus


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job and when it was created."""

    status: RunStatus
    created: datetime


def plain_table(*columns: str) -> Table:
    """A table without lines, as kubectl prints one; cells are cut at the terminal's edge."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    return table


def jobs_table(lines: Sequence[JobLine], now: datetime, *, namespaces: bool = False) -> Table:
    """One line a job.

    Args:
        lines: The jobs, in order.
        now: For ages.
        namespaces: Whether to show each job's namespace.
    """
    before = ("NAMESPACE",) if namespaces else ()
    table = plain_table(
        *before, "NAME", "STATE", "ROUND", "CLIENTS", "METRIC", "ETA", "AGE"
    )  # fmt: skip
    for line in lines:
        status = line.status
        first = (Text(status.namespace),) if namespaces else ()
        table.add_row(
            *first,
            Text(status.name),
            Text(str(status.state), style=STATE_STYLES.get(status.state, "")),
            status.rounds_text,
            status.clients_text,
            Text(status.metric_text or "-"),
            eta(status, now),
            since(line.created, now),
        )
    return table


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

"""One job as a screen: state, rounds, clients with their last heartbeat, metrics, events. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fedjob.cli.display.status_text import CLIENT_STYLES, STATE_STYLES, age, eta, since, why
from fedjob.engines.run_status import ClientInfo, RunEvent, RunStatus
from fedjob.formats import size
from fedjob.metric_text import in_order, number, sparkline

MOST_CLIENTS = 12
MOST_METRICS = 4
MOST_EVENTS = 5
_URGENT = frozenset({"Failed", "Lost"})


def job_screen(
    status: RunStatus,
    events: Sequence[RunEvent],
    now: datetime,
    *,
    most_clients: int = MOST_CLIENTS,
    notes: Sequence[str] = (),
) -> Group:
    """Everything about a job at one moment.

    Args:
        status: The run.
        events: What happened, the oldest first.
        now: For ages.
        most_clients: Clients that are shown; those in trouble always are.
        notes: Lines about this program, such as a lost connection.
    """
    parts: list[RenderableType] = [_head(status, now)]
    if status.message or status.reason:
        parts.append(Text(f"  {why(status)}", style="red" if status.reason else "dim"))
    parts.append(_rounds(status, now))
    if status.clients:
        parts.append(_clients(status.clients, now, most_clients))
    parts.extend(_metrics(status))
    if status.best is not None:
        parts.append(Text(f"best     {status.best_text}", overflow="fold"))
    if status.result is not None:
        found = status.result
        parts.append(Text(f"model    {found.uri}  {size(found.size)}", overflow="fold"))
    recent = list(events)[-MOST_EVENTS:]
    if recent:
        parts.extend(_events(recent, now))
    parts.extend(Text(f"! {note}", style="yellow", no_wrap=True, overflow="ellipsis")
                 for note in notes[-2:])  # fmt: skip
    return Group(*parts)


def _head(status: RunStatus, now: datetime) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{status.namespace}/{status.name}  ", style="bold")
    text.append(str(status.state), style=STATE_STYLES.get(status.state, ""))
    if status.start_time is not None:
        end = status.completion_time or now
        text.append(f"  {age((end - status.start_time).total_seconds())}", style="dim")
    if status.attempt > 1:
        text.append(f"  server start {status.attempt}", style="dim")
    if status.retries:
        shown = ", ".join(f"{kind} {count}" for kind, count in sorted(status.retries.items()))
        text.append(f"  retries: {shown}", style="dim")
    return text


def _rounds(status: RunStatus, now: datetime) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    left = eta(status, now)
    grid.add_row(
        Text(f"round {status.rounds_text}", style="bold"),
        ProgressBar(total=max(status.total, 1), completed=status.completed),
        Text(f"ETA {left}" if left != "-" else f"clients {status.clients_text}"),
    )
    return grid


def _clients(clients: Sequence[ClientInfo], now: datetime, most: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("CLIENT", "STATE"):
        table.add_column(column, no_wrap=True)
    for column in ("SEEN", "SAMPLES", "RESTARTS"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("SHARD", no_wrap=True, overflow="ellipsis")
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    # Those that need attention stay visible however many there are.
    shown = sorted(clients, key=lambda client: client.state not in _URGENT)[: max(most, 1)]
    for client in clients:
        if client not in shown:
            continue
        table.add_row(
            Text(client.name),
            Text(client.state, style=CLIENT_STYLES.get(client.state, "")),
            since(client.last_heartbeat, now),
            f"{client.samples:,}" if client.samples else "-",
            str(client.restarts),
            Text(client.shard),
            Text(" ".join(client.message.split()), style="red"),
        )
    hidden = len(clients) - len(shown)
    if hidden > 0:
        table.add_row(Text(f"and {hidden} more", style="dim"))
    return table


def _metrics(status: RunStatus) -> list[Text]:
    names = in_order({name for line in status.history for name in line.metrics}, MOST_METRICS)
    width = max((len(name) for name in names), default=0)
    lines = []
    for name in names:
        series = [line.metrics.get(name) for line in status.history]
        text = Text(f"{name:<{width}}  ", no_wrap=True, overflow="ellipsis")
        text.append(f"{number(series[-1]):>8}  ", style="bold")
        text.append(sparkline(series), style="cyan")
        lines.append(text)
    return lines


def _events(events: Sequence[RunEvent], now: datetime) -> list[Text]:
    """One line an event; the message is cut at the terminal's edge, and nothing before it."""
    ages = [since(event.time, now) for event in events]
    widest = max(len(each) for each in ages)
    reasons = max(len(event.reason) for event in events)
    lines = []
    for event, text in zip(events, ages, strict=True):
        style = "yellow" if event.type == "Warning" else "dim"
        about = f"{event.about}: " if event.about else ""
        line = Text(f"{text:>{widest}}  ", style="dim", no_wrap=True, overflow="ellipsis")
        line.append(f"{event.reason:<{reasons}}  {about}{event.message}", style=style)
        lines.append(line)
    return lines

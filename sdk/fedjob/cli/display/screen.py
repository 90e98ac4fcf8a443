"""Draws a run for a terminal: phases, the round bar, clients, metrics; pure, from a RunView."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fedjob.cli.display.run_view import RunView
from fedjob.engines.local.observer import Step
from fedjob.engines.result import RoundLine
from fedjob.formats import duration, size
from fedjob.metric_text import in_order, number, sparkline
from fedjob.protocol.server_status import ClientState, ServerStatus

_STATE_STYLES = {
    ClientState.EXPECTED: "dim",
    ClientState.CONNECTED: "cyan",
    ClientState.TRAINING: "yellow",
    ClientState.ANSWERED: "green",
    ClientState.FAILED: "bold red",
    ClientState.LOST: "red",
}
_MAX_CLIENTS = 12
_MAX_METRICS = 4
_MAX_NOTES = 3


def screen(view: RunView, now: float) -> Group:
    """The whole live display at one moment.

    Args:
        view: What is known.
        now: On the clock of `view.started`.
    """
    parts: list[RenderableType] = [_phases(view, now)]
    if view.step is Step.UPLOAD and view.uploaded[1]:
        done, total = view.uploaded
        parts.append(_bar(f"UPLOAD {size(done)} / {size(total)}", done, total, ""))
    if view.status is not None:
        parts.append(_rounds(view, view.status, now))
        if view.status.clients:
            parts.append(_clients(view, view.status))
        parts.extend(_metrics(view))
    parts.extend(_notes(view))
    return Group(*parts)


def rounds_table(rounds: Iterable[RoundLine]) -> Table:
    """The table a run ends with: round, clients, samples, metrics, seconds."""
    lines = list(rounds)
    names = in_order({name for line in lines for name in line.metrics}, 6)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ROUND", "CLIENTS", "SAMPLES", *(name.upper() for name in names), "SECONDS"):
        table.add_column(column, justify="right")
    for line in lines:
        table.add_row(
            str(line.round),
            str(line.clients),
            f"{line.samples:,}",
            *(number(line.metrics.get(name)) for name in names),
            f"{line.seconds:.2f}",
        )
    return table


def _phases(view: RunView, now: float) -> Text:
    text = Text(f"{view.name}  ", style="bold", no_wrap=True)
    for step in Step:
        elapsed = view.elapsed(step, now)
        if elapsed is None:
            text.append(f"○ {step}  ", style="dim not bold")
        elif step is view.step:
            text.append(f"● {step} {duration(elapsed)}  ", style="cyan")
        else:
            text.append(f"✓ {step} {duration(elapsed)}  ", style="green not bold")
    return text


def _bar(label: str, done: float, total: float, after: str) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    grid.add_row(
        Text(label, style="bold"), ProgressBar(total=max(total, 1), completed=done), Text(after)
    )
    return grid


def _rounds(view: RunView, status: ServerStatus, now: float) -> Table:
    eta = view.eta(now)
    after = str(status.phase) if eta is None else f"ETA {duration(eta)}"
    return _bar(f"ROUND {status.completed}/{view.total}", status.completed, view.total, after)


def _clients(view: RunView, status: ServerStatus) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("CLIENT", "SHARD", "STATE"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for column in ("SAMPLES", "RESTARTS"):
        table.add_column(column, justify="right")
    table.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
    # Those that need attention stay visible however many there are.
    urgent = {ClientState.FAILED, ClientState.LOST}
    order = sorted(status.clients, key=lambda client: client.state not in urgent)
    for client in sorted(order[:_MAX_CLIENTS], key=status.clients.index):
        restarts = max(client.restarts, view.restarts.get(client.name, 0))
        table.add_row(
            Text(client.name),
            Text(client.shard),
            Text(str(client.state), style=_STATE_STYLES[client.state]),
            f"{client.samples:,}" if client.samples else "-",
            str(restarts),
            Text(client.message, style="red"),
        )
    hidden = len(status.clients) - _MAX_CLIENTS
    if hidden > 0:
        table.add_row(Text(f"and {hidden} more", style="dim"))
    return table


def _metrics(view: RunView) -> list[Text]:
    names = in_order(view.metric_names, _MAX_METRICS)
    width = max((len(name) for name in names), default=0)
    lines = []
    for name in names:
        series = view.series(name)
        text = Text(f"{name:<{width}}  ", no_wrap=True)
        text.append(f"{number(series[-1] if series else None):>8}  ", style="bold")
        text.append(sparkline(series), style="cyan")
        lines.append(text)
    return lines


def _notes(view: RunView) -> list[Text]:
    return [
        Text(f"! {line.splitlines()[0]}", style="yellow", no_wrap=True, overflow="ellipsis")
        if warning
        else Text(line.splitlines()[0], style="dim", no_wrap=True, overflow="ellipsis")
        for line, warning in view.notes[-_MAX_NOTES:]
        if line
    ]

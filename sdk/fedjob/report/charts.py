"""Which charts the page has, and the description of each in text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from fedjob.formats import duration
from fedjob.protocol.commit import Commit
from fedjob.report.number_format import count, figure, plural
from fedjob.report.plot import COLOURS, BarList, Line, Plot, bar_list, line_plot, stacked_plot
from fedjob.report.series import (
    PHASES,
    Series,
    best,
    client_seconds,
    metric_groups,
    metric_series,
    natural,
    phases,
    trained,
)

MOST_LINES = 8
MOST_CHARTS = 8
MOST_CLIENT_LINES = 6
MOST_CLIENT_BARS = 24
VALIDATION_NOTE = "Solid: the global model on validation data. Dashed: the workers' training."


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a legend: the mark's classes, what it stands for, and a figure."""

    mark: str
    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart with everything around it.

    Attributes:
        key: Unique on the page; ids derive from it.
        title: The heading.
        description: What the chart shows, for readers who cannot see it.
        table: The id of the table that holds the same data.
        note: Shown under the heading; empty: nothing.
        plot: The shapes.
        legend: What each colour stands for.
    """

    key: str
    title: str
    description: str
    table: str
    note: str
    plot: Plot | BarList
    legend: Sequence[Entry] = ()


def all_charts(commits: Sequence[Commit], shards: Mapping[str, str]) -> list[Chart]:
    """Every chart that the commits have data for."""
    rounds = trained(commits)
    charts = metric_charts(commits)
    if any(sum(phases(commit)) > 0 for commit in rounds):
        charts.append(phase_chart(rounds))
    clients = client_seconds(rounds)
    if any(value > 0 for line in clients for _, value in line.points):
        charts.append(client_chart(clients))
    if clients:
        charts.append(samples_chart(rounds, shards))
    return charts


def metric_charts(commits: Sequence[Commit]) -> list[Chart]:
    """The metrics within 0..1, the losses, and other metrics each on its own scale."""
    charts = []
    for place, (title, group) in enumerate(metric_groups(metric_series(commits))[:MOST_CHARTS]):
        bases = list(dict.fromkeys(line.base for line in group))
        lines = [
            Line(line, bases.index(line.base) % COLOURS, dashed=not line.validation)
            for line in group[:MOST_LINES]
        ]
        both = len({line.validation for line in group}) == 2
        more = (
            f" {len(group) - MOST_LINES} more are in the table." if len(group) > MOST_LINES else ""
        )
        within = all(0 <= value <= 1 for line in lines for _, value in line.series.points)
        charts.append(
            Chart(
                key=f"metrics-{place}",
                title=title,
                description=" ".join(describe(line.series) for line in lines),
                table="rounds",
                note=((VALIDATION_NOTE if both else "") + more).strip(),
                plot=line_plot(lines, figure, limits=(0.0, 1.0) if within else None),
                legend=_legend(lines, figure),
            )
        )
    return charts


def phase_chart(rounds: Sequence[Commit]) -> Chart:
    """Where each round's seconds went."""
    rows = [(commit.round, phases(commit)) for commit in rounds]
    sums = [sum(values[i] for _, values in rows) for i in range(len(PHASES))]
    total = sum(sum(values) for _, values in rows)
    parts = ", ".join(f"{name} {duration(value)}" for name, value in zip(PHASES, sums, strict=True))
    return Chart(
        key="phases",
        title="Time by phase",
        description=f"{plural(len(rows), 'round')} took {duration(total)} together: {parts}.",
        table="rounds",
        note="Seconds a round; beside each phase its sum over all rounds.",
        plot=stacked_plot(PHASES, rows),
        legend=[Entry(f"fill c{i}", name, duration(sums[i])) for i, name in enumerate(PHASES)],
    )


def client_chart(clients: Sequence[Series]) -> Chart:
    """Seconds from task to accepted result, by client; of many clients, their spread."""
    if len(clients) <= MOST_CLIENT_LINES:
        series, note = list(clients), "Beside each client its last round."
    else:
        series = spread(clients)
        note = f"Of {count(len(clients))} clients in each round."
    lines = [Line(each, place % COLOURS) for place, each in enumerate(series)]
    return Chart(
        key="clients-seconds",
        title="Seconds a round by client",
        description=" ".join(
            f"{line.name}: median {duration(median(value for _, value in line.points))} over "
            f"{plural(len(line.points), 'round')}."
            for line in clients[:MOST_CLIENT_BARS]
        ),
        table="clients",
        note=note,
        plot=line_plot(lines, duration, unit=" s", from_zero=True),
        legend=_legend(lines, duration),
    )


def spread(clients: Sequence[Series]) -> list[Series]:
    """The slowest, the median and the fastest client of each round."""
    values: dict[int, list[float]] = {}
    for line in clients:
        for at, value in line.points:
            values.setdefault(at, []).append(value)
    rules: dict[str, Callable[[list[float]], float]] = {
        "slowest": max,
        "median": median,
        "fastest": min,
    }
    return [
        Series(name, tuple((at, rule(values[at])) for at in sorted(values)))
        for name, rule in rules.items()
    ]


def samples_chart(rounds: Sequence[Commit], shards: Mapping[str, str]) -> Chart:
    """The weight of each client in FedAvg: samples of its last accepted result."""
    last = {p.name: p.samples for commit in rounds for p in commit.participants}
    names = sorted(last, key=natural)
    bars = [(name, shards.get(name, ""), last[name]) for name in names[:MOST_CLIENT_BARS]]
    note = "Its weight in the average: samples of its last accepted result."
    if len(names) > len(bars):
        note += f" The first {len(bars)} of {count(len(names))} clients."
    return Chart(
        key="samples",
        title="Samples by client",
        description=" ".join(f"{name}: {plural(value, 'sample')}." for name, _, value in bars),
        table="clients",
        note=note,
        plot=bar_list(bars),
    )


def describe(line: Series) -> str:
    """First, last and best value of a line, as a sentence."""
    (first, start), (last, end) = line.points[0], line.points[-1]
    at, value = best(line)
    return (
        f"{line.name}: {figure(start)} in round {first}, {figure(end)} in round {last}, "
        f"best {figure(value)} in round {at}."
    )


def _legend(lines: Sequence[Line], shown: Callable[[float], str]) -> list[Entry]:
    return [
        Entry(f"stroke {line.mark}", line.series.name, shown(line.series.points[-1][1]))
        for line in lines
    ]

"""Which charts the page has, and what each says in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from fedjob.protocol.commit import Commit
from fedjob.report.bar_chart import named_bars, stacked_bars
from fedjob.report.frame import COLOURS, Caption
from fedjob.report.line_chart import Line, line_chart
from fedjob.report.markup import Html
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
from fedjob.report.words import count, figure, plural, seconds

MOST_LINES = 8
MOST_CHARTS = 8
MOST_CLIENT_LINES = 6
MOST_CLIENT_BARS = 24
VALIDATION_NOTE = "Solid: the global model on validation data. Dashed: the workers' training."


def all_charts(commits: Sequence[Commit], shards: Mapping[str, str]) -> list[Html]:
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


def metric_charts(commits: Sequence[Commit]) -> list[Html]:
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
        words = " ".join(_in_words(line.series) for line in lines)
        note = ((VALIDATION_NOTE if both else "") + more).strip()
        caption = Caption(f"metrics-{place}", title, words, "rounds", note)
        within = all(0 <= value <= 1 for line in lines for _, value in line.series.points)
        charts.append(line_chart(caption, lines, figure, limits=(0.0, 1.0) if within else None))
    return charts


def phase_chart(rounds: Sequence[Commit]) -> Html:
    """Where each round's seconds went."""
    rows = [(commit.round, phases(commit)) for commit in rounds]
    total = sum(sum(values) for _, values in rows)
    parts = ", ".join(
        f"{name} {seconds(sum(values[i] for _, values in rows))}" for i, name in enumerate(PHASES)
    )
    words = f"{plural(len(rows), 'round')} took {seconds(total)} together: {parts}."
    note = "Seconds a round; beside each phase its sum over all rounds."
    return stacked_bars(Caption("phases", "Time by phase", words, "rounds", note), PHASES, rows)


def client_chart(clients: Sequence[Series]) -> Html:
    """Seconds from task to accepted result, by client; of many clients, their spread."""
    words = " ".join(
        f"{line.name}: median {seconds(median(value for _, value in line.points))} over "
        f"{plural(len(line.points), 'round')}."
        for line in clients[:MOST_CLIENT_BARS]
    )
    if len(clients) <= MOST_CLIENT_LINES:
        lines, note = list(clients), "Beside each client its last round."
    else:
        lines = spread(clients)
        note = f"Of {count(len(clients))} clients in each round."
    drawn = [Line(line, place % COLOURS) for place, line in enumerate(lines)]
    caption = Caption("clients-seconds", "Seconds a round by client", words, "clients", note)
    return line_chart(caption, drawn, seconds, unit=" s", from_zero=True)


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


def samples_chart(rounds: Sequence[Commit], shards: Mapping[str, str]) -> Html:
    """The weight of each client in FedAvg: samples of its last accepted result."""
    last = {p.name: p.samples for commit in rounds for p in commit.participants}
    names = sorted(last, key=natural)
    bars = [(name, shards.get(name, ""), last[name]) for name in names[:MOST_CLIENT_BARS]]
    words = " ".join(f"{name}: {plural(value, 'sample')}." for name, _, value in bars)
    note = "Its weight in the average: samples of its last accepted result."
    if len(names) > len(bars):
        note += f" The first {len(bars)} of {count(len(names))} clients."
    return named_bars(Caption("samples", "Samples by client", words, "clients", note), bars)


def _in_words(line: Series) -> str:
    (first, start), (last, end) = line.points[0], line.points[-1]
    at, value = best(line)
    return (
        f"{line.name}: {figure(start)} in round {first}, {figure(end)} in round {last}, "
        f"best {figure(value)} in round {at}."
    )

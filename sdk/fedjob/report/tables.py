"""The tables: every round, every client. They hold what the charts draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from fedjob.formats import duration
from fedjob.protocol.commit import Commit
from fedjob.report.number_format import EN_DASH, count, figure
from fedjob.report.series import PHASES, client_seconds, metric_series, natural, phases
from fedjob.report.thin import pick_evenly

MOST_ROWS = 1001
"""Round 0 and a thousand more."""
MOST_METRICS = 12
ABSENT = EN_DASH


@dataclass(frozen=True, slots=True)
class Table:
    """A table with row headings in its first column.

    Attributes:
        key: Unique on the page; ids derive from it.
        title: The heading.
        heads: Column headings.
        rows: Cells, one for each head.
        kinds: How a column is shown, by its place: `name` (may be long, in any script) or
            `sha256`; `text` otherwise.
        note: Shown below the heading; empty: nothing.
    """

    key: str
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    kinds: Sequence[str]
    note: str = ""


def rounds_table(commits: Sequence[Commit]) -> Table:
    """One row a round; evenly picked ones where there are more than MOST_ROWS."""
    metrics = [line.name for line in metric_series(commits)][:MOST_METRICS]
    parts = [name.capitalize() for name in PHASES]
    heads = ["Round", "Clients", "Samples", *metrics, "Seconds", "Failures", *parts, "Model"]
    rows = []
    for commit in pick_evenly(commits, MOST_ROWS):
        values = [commit.metrics.get(name) for name in metrics]
        rows.append(
            [
                str(commit.round) if commit.round else "0 (initial)",
                count(len(commit.participants)) if commit.round else ABSENT,
                count(commit.samples) if commit.round else ABSENT,
                *(ABSENT if value is None else figure(value) for value in values),
                duration(commit.times.total),
                count(len(commit.failures)) if commit.failures else ABSENT,
                *(duration(value) for value in phases(commit)),
                commit.sha256,
            ]
        )
    more = f"{count(MOST_ROWS)} of {count(len(commits))} rounds, evenly picked."
    return Table(
        key="rounds",
        title="Rounds",
        heads=heads,
        rows=rows,
        kinds=[*["text"] * (len(heads) - 1), "sha256"],
        note=more if len(commits) > MOST_ROWS else "",
    )


def clients_table(commits: Sequence[Commit], shards: Mapping[str, str]) -> Table:
    """One row a client, also one that never answered."""
    lines = {line.name: line.points for line in client_seconds(commits)}
    samples = {p.name: p.samples for commit in commits for p in commit.participants}
    failed: dict[str, int] = {}
    for commit in commits:
        for failure in commit.failures:
            failed[failure.name] = failed.get(failure.name, 0) + 1
    rows = []
    for name in sorted({*lines, *failed, *shards}, key=natural):
        took = [value for _, value in lines.get(name, ())]
        rows.append(
            [
                name,
                shards.get(name, ABSENT),
                count(len(took)),
                count(samples[name]) if name in samples else ABSENT,
                *([duration(rule(took)) for rule in (min, median, max)] if took else [ABSENT] * 3),
                count(failed[name]) if name in failed else ABSENT,
            ]
        )
    heads = ["Client", "Shard", "Rounds", "Samples", "Fastest", "Median", "Slowest", "Failures"]
    kinds = ["name", "name", *["text"] * 6]
    return Table(key="clients", title="Clients", heads=heads, rows=rows, kinds=kinds)

"""The tables: every round, every client. They hold what the charts draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from fedjob.protocol.commit import Commit
from fedjob.report.markup import Html, tag
from fedjob.report.series import PHASES, client_seconds, metric_series, natural, phases
from fedjob.report.thin import pick_evenly
from fedjob.report.words import EN_DASH, count, figure, seconds

MOST_ROWS = 1001
"""Round 0 and a thousand more."""
MOST_METRICS = 12
ABSENT = EN_DASH


def rounds_table(commits: Sequence[Commit]) -> Html:
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
                seconds(commit.times.total),
                count(len(commit.failures)) if commit.failures else ABSENT,
                *(seconds(value) for value in phases(commit)),
                tag("code", commit.sha256[:12], title=commit.sha256),
            ]
        )
    more = f"{count(MOST_ROWS)} of {count(len(commits))} rounds, evenly picked."
    return _table("rounds", "Rounds", heads, rows, more if len(commits) > MOST_ROWS else "")


def clients_table(commits: Sequence[Commit], shards: Mapping[str, str]) -> Html:
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
                tag("bdi", name),
                tag("bdi", shards.get(name, ABSENT)),
                count(len(took)),
                count(samples[name]) if name in samples else ABSENT,
                *([seconds(rule(took)) for rule in (min, median, max)] if took else [ABSENT] * 3),
                count(failed[name]) if name in failed else ABSENT,
            ]
        )
    heads = ["Client", "Shard", "Rounds", "Samples", "Fastest", "Median", "Slowest", "Failures"]
    return _table("clients", "Clients", heads, rows, "")


def _table(
    key: str, title: str, heads: Sequence[str], rows: Sequence[Sequence[object]], note: str
) -> Html:
    head = tag("tr", *(tag("th", name, scope="col") for name in heads))
    body = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
        for row in rows
    ]
    scroll = tag(
        "div",
        tag("table", tag("thead", head), tag("tbody", *body)),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_labelledby=f"{key}-heading",
    )
    heading = tag("h2", title, id=f"{key}-heading")
    return tag("section", heading, tag("p", note, class_="note") if note else "", scroll, id=key)

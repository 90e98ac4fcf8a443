"""The summary: the few figures that a person wants first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fedjob.formats import duration, size
from fedjob.protocol.commit import Commit
from fedjob.protocol.standing import is_over
from fedjob.report.facts import JobFacts
from fedjob.report.number_format import count, figure, plural
from fedjob.report.series import best, headline, metric_series, trained

TONES = {"Complete": ("good", "✓"), "Failed": ("bad", "✕"), "Suspended": ("warn", "❚❚")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One figure with its label; of the last five, at most one is set.

    Attributes:
        label: What the figure is.
        value: The figure.
        tone: Classes of style.css: good, bad, warn, busy, wide.
        sign: A character before the value that repeats the tone without colour.
        total: The value is out of this many.
        beside: A note below the value.
        reason: A reason from the catalogue, shown as a link to its text.
        percent: The length of a progress bar, 0 to 100.
        sha256: A checksum, in hex.
    """

    label: str
    value: str
    tone: str = ""
    sign: str = ""
    total: str = ""
    beside: str = ""
    reason: str = ""
    percent: int | None = None
    sha256: str = ""


def all_cards(facts: JobFacts, commits: Sequence[Commit]) -> list[Card]:
    """State, rounds, metric, samples, time and model; `commits` ascend by round."""
    rounds = trained(commits)
    shown = [_state(facts), _rounds(facts, rounds), *_metric(commits)]
    if rounds:
        last = rounds[-1]
        clients = plural(len(last.participants), "worker")
        shown.append(
            Card(
                label="Samples a round",
                value=count(last.samples),
                beside=f"from {clients} in round {last.round}",
            )
        )
    wall = wall_seconds(facts, commits)
    if wall is not None:
        took = sorted(commit.times.total for commit in rounds)
        beside = (
            f"{duration(took[len(took) // 2])} a round, median" if took and took[-1] > 0 else ""
        )
        shown.append(Card(label="Wall time", value=duration(wall), beside=beside))
    if commits:
        shown.append(_model(commits[-1]))
        shown.extend(_best(commits[-1]))
    return shown


def wall_seconds(facts: JobFacts, commits: Sequence[Commit]) -> float | None:
    """The facts' own, or from the first commit's start to the last one's end; None: not known."""
    if facts.wall_seconds is not None or not commits:
        return facts.wall_seconds
    try:
        start = datetime.fromisoformat(commits[0].started)
        return max(0.0, (datetime.fromisoformat(commits[-1].ended) - start).total_seconds())
    except (ValueError, TypeError):  # not a time, or one with a zone and one without
        return None


def _state(facts: JobFacts) -> Card:
    tone, sign = TONES.get(facts.state, ("busy", "●"))
    return Card(label="State", value=facts.state, tone=tone, sign=sign, reason=facts.reason)


def _rounds(facts: JobFacts, rounds: Sequence[Commit]) -> Card:
    done = rounds[-1].round if rounds else 0
    share = min(100, round(100 * done / max(1, facts.total_rounds)))
    total = count(facts.total_rounds)
    if rounds and done < facts.total_rounds and is_over(rounds[-1], facts.total_rounds):
        note = "stopped early: stopWhen was met"
        return Card(label="Rounds", value=count(done), total=total, beside=note)
    return Card(label="Rounds", value=count(done), total=total, percent=share)


def _metric(commits: Sequence[Commit]) -> list[Card]:
    line = headline(metric_series(commits))
    if line is None:
        return []
    at, value = best(line)
    last, end = line.points[-1]
    beside = (
        f"round {last}, the best so far"
        if at == last
        else f"round {last}; best {figure(value)} in round {at}"
    )
    return [Card(label=line.name, value=figure(end), beside=beside)]


def _best(commit: Commit) -> list[Card]:
    best = commit.standing.best if commit.standing is not None else None
    if best is None:
        return []
    label = f"Best model: round {best.round}, {best.metric} {figure(best.value)}"
    return [Card(label=label, value=size(best.size), tone="wide", sha256=best.sha256)]


def _model(commit: Commit) -> Card:
    label = f"Model of round {commit.round}"
    return Card(label=label, value=size(commit.size), tone="wide", sha256=commit.sha256)

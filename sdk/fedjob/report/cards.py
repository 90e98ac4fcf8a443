"""The summary: the few figures that a person wants first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from fedjob.protocol.commit import Commit
from fedjob.report.facts import JobFacts
from fedjob.report.markup import Html, join, tag
from fedjob.report.problems import reason_link
from fedjob.report.series import best, headline, metric_series, trained
from fedjob.report.words import count, figure, plural, seconds, size

TONES = {"Complete": ("good", "✓"), "Failed": ("bad", "✕"), "Suspended": ("warn", "❚❚")}


def cards(facts: JobFacts, commits: Sequence[Commit], reasons: Mapping[str, str]) -> Html:
    """State, rounds, metrics, samples, time and model."""
    rounds = trained(commits)
    shown = [_state(facts, reasons), _rounds(facts, rounds), *_metric(commits)]
    if rounds:
        last = rounds[-1]
        clients = plural(len(last.participants), "worker")
        shown.append(
            _card("Samples a round", count(last.samples), f"from {clients} in round {last.round}")
        )
    wall = wall_seconds(facts, commits)
    if wall is not None:
        took = sorted(commit.times.total for commit in rounds)
        beside = f"{seconds(took[len(took) // 2])} a round, median" if took and took[-1] > 0 else ""
        shown.append(_card("Wall time", seconds(wall), beside))
    if commits:
        shown.append(_model(commits[-1]))
    return tag("div", *shown, class_="cards")


def wall_seconds(facts: JobFacts, commits: Sequence[Commit]) -> float | None:
    """As told, or from the first commit's start to the last one's end; None: not known."""
    if facts.wall_seconds is not None or not commits:
        return facts.wall_seconds
    try:
        start = datetime.fromisoformat(commits[0].started)
        return max(0.0, (datetime.fromisoformat(commits[-1].ended) - start).total_seconds())
    except (ValueError, TypeError):  # not a time, or one with a zone and one without
        return None


def _card(name: str, value: object, beside: object, tone: str = "") -> Html:
    return tag(
        "div",
        tag("p", name, class_="label"),
        tag("p", value, class_="value"),
        tag("p", beside, class_="beside") if beside else "",
        class_=f"card {tone}".strip(),
    )


def _state(facts: JobFacts, reasons: Mapping[str, str]) -> Html:
    tone, sign = TONES.get(facts.state, ("busy", "●"))
    value = (tag("span", sign, class_="sign", aria_hidden="true"), " ", facts.state)
    beside = reason_link(facts.reason, reasons) if facts.reason else ""
    return _card("State", tag("span", *value), beside, tone)


def _rounds(facts: JobFacts, rounds: Sequence[Commit]) -> Html:
    done = rounds[-1].round if rounds else 0
    total = max(1, facts.total_rounds)
    share = min(100, round(100 * done / total))
    bar = tag("span", tag("span", style=f"width:{share}%"), class_="progress", aria_hidden="true")
    value = join((count(done), tag("small", f" / {count(facts.total_rounds)}")))
    return _card("Rounds", value, bar)


def _metric(commits: Sequence[Commit]) -> list[Html]:
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
    return [_card(line.name, figure(end), beside)]


def _model(commit: Commit) -> Html:
    beside = tag("span", "sha256 ", tag("code", commit.sha256))
    return _card(f"Model of round {commit.round}", size(commit.size), beside, "wide")

"""What went wrong and was survived: refused answers and warnings, with what each reason means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedjob.protocol.commit import Commit
from fedjob.report.markup import Html, tag
from fedjob.report.words import count, ranges

MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """The same thing, told by the same client, in one round or more."""

    client: str
    reason: str
    message: str
    rounds: tuple[int, ...]
    failure: bool


def problems(commits: Sequence[Commit]) -> list[Problem]:
    """Failures first, then warnings, each once with the rounds in which it came.

    Args:
        commits: All committed rounds.
    """
    found: dict[tuple[bool, str, str, str], list[int]] = {}
    for commit in commits:
        for failure in commit.failures:
            key = (True, failure.name, failure.reason, failure.message)
            found.setdefault(key, []).append(commit.round)
        for participant in commit.participants:
            for warning in participant.warnings:
                key = (False, participant.name, warning.reason, warning.message)
                found.setdefault(key, []).append(commit.round)
    return [
        Problem(client, reason, message, tuple(rounds), failure)
        for (failure, client, reason, message), rounds in sorted(
            found.items(), key=lambda item: not item[0][0]
        )
    ]


def problems_section(found: Sequence[Problem], reasons: Mapping[str, str]) -> Html:
    """The list of what went wrong.

    Args:
        found: What `problems` gives.
        reasons: Reason -> what it means and what to do, as plain text.
    """
    if not found:
        return tag(
            "section",
            tag("h2", "Failures and warnings"),
            tag("p", "None: every answer was accepted.", class_="note"),
            id="problems",
        )
    items = [_item(problem, reasons) for problem in found[:MOST_PROBLEMS]]
    more = len(found) - MOST_PROBLEMS
    return tag(
        "section",
        tag("h2", "Failures and warnings"),
        tag("ul", *items, class_="problems"),
        tag("p", f"And {count(more)} more.", class_="note") if more > 0 else "",
        id="problems",
    )


def reasons_section(named: Sequence[str], reasons: Mapping[str, str]) -> Html | None:
    """What the reasons named on this page mean, so that it can be read offline."""
    told = [name for name in dict.fromkeys(named) if name in reasons]
    if not told:
        return None
    entries = [
        tag("div", tag("dt", name), tag("dd", reasons[name]), id=reason_id(name)) for name in told
    ]
    return tag(
        "section",
        tag("h2", "What the reasons mean"),
        tag("dl", *entries, class_="reasons"),
        id="reasons",
    )


def reason_link(name: str, reasons: Mapping[str, str]) -> Html:
    """The reason's name, linked to its text where the page has it."""
    if name in reasons:
        return tag("a", name, href=f"#{reason_id(name)}")
    return tag("span", name)


def reason_id(name: str) -> str:
    """The id of a reason's text; ids hold no blanks."""
    return "reason-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in name)


def _item(problem: Problem, reasons: Mapping[str, str]) -> Html:
    what = "Failure" if problem.failure else "Warning"
    rounds = f"round{'s' if len(problem.rounds) > 1 else ''} {ranges(problem.rounds)}"
    head = [
        tag("span", what, class_="badge " + ("bad" if problem.failure else "warn")),
        tag("bdi", problem.client, class_="name"),
        tag("span", rounds, class_="dim"),
    ]
    if problem.reason:
        head.append(reason_link(problem.reason, reasons))
    return tag("li", tag("p", *head, class_="head"), tag("p", problem.message, class_="message"))

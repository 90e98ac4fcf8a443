"""The page: what each part shows, put into the template. Escaping is the template engine's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from fedjob.protocol.commit import Commit
from fedjob.reasons import Reason
from fedjob.report.cards import all_cards
from fedjob.report.charts import all_charts
from fedjob.report.facts import JobFacts
from fedjob.report.number_format import count, figure, plural
from fedjob.report.problems import MOST_PROBLEMS, find_problems
from fedjob.report.scale import coordinate
from fedjob.report.series import headline, metric_series, trained
from fedjob.report.tables import clients_table, rounds_table

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The page fetches nothing and runs nothing, whatever a job's names hold."""

CATALOGUE = {reason.value: f"{reason.summary} What to do: {reason.page}." for reason in Reason}

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # control characters, but tab and line ends
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the reading direction
    "\ud800-\udfff\ufffe\uffff]"  # code points that UTF-8 or HTML cannot carry
)


def build(
    facts: JobFacts, commits: Sequence[Commit], reasons: Mapping[str, str] | None = None
) -> str:
    """One self-contained HTML page: summary, charts, tables, failures.

    Args:
        facts: The job.
        commits: Its committed rounds, in any order; round 0 is the initial model. May be empty.
        reasons: Reason -> what it means and what to do, as plain text; shown for those named.
            None: the catalogue's summaries.

    Returns:
        HTML, to be written as UTF-8. It loads nothing and holds no script.
    """
    known = CATALOGUE if reasons is None else reasons
    ordered = sorted(commits, key=lambda commit: commit.round)
    problems = find_problems(ordered)
    named = [facts.reason, *(problem.reason for problem in problems)]
    more = len(problems) - MOST_PROBLEMS
    return (
        templates()
        .get_template("page.html.j2")
        .render(
            facts=facts,
            reasons=known,
            policy=POLICY,
            style=Markup(resource("style.css")),  # noqa: S704 - our own file
            summary=summarise(facts, ordered),
            cards=all_cards(facts, ordered),
            charts=all_charts(ordered, facts.shards),
            problems=problems[:MOST_PROBLEMS],
            more_problems=count(more) if more > 0 else "",
            rounds_table=rounds_table(ordered) if ordered else None,
            clients_table=clients_table(ordered, facts.shards),
            explained=[name for name in dict.fromkeys(named) if name in known],
        )
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """The sentence below the heading.

    Attributes:
        rounds: Committed rounds, without round 0.
        total: Rounds of the job, with their noun.
        done: The last committed round.
        workers: Workers that took part, with their noun.
        metric: Name and value on validation data; empty where there is none.
    """

    rounds: int
    total: str
    done: str = ""
    workers: str = ""
    metric: str = ""


def summarise(facts: JobFacts, commits: Sequence[Commit]) -> Summary:
    """The figures of the sentence below the heading; `commits` ascend by round."""
    rounds = trained(commits)
    total = plural(facts.total_rounds, "round")
    if not rounds:
        return Summary(rounds=0, total=total)
    line = headline(metric_series(commits))
    shown = line is not None and line.validation
    return Summary(
        rounds=len(rounds),
        total=total,
        done=count(rounds[-1].round),
        workers=plural(len({p.name for commit in rounds for p in commit.participants}), "worker"),
        metric=f"{line.base} {figure(line.points[-1][1])}" if line is not None and shown else "",
    )


def reason_id(name: str) -> str:
    """The id of a reason's text; ids hold no blanks."""
    return "reason-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in name)


def printable(value: object) -> object:
    """A value as the page shows it: floats as coordinates, what cannot be shown as U+FFFD."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, float):
        return coordinate(value)
    return _UNPRINTABLE.sub("\ufffd", str(value))


@cache
def templates() -> jinja2.Environment:
    """The templates of this package; values are escaped, floats are coordinates."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(resource),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["reason_id"] = reason_id
    return environment


def resource(name: str) -> str:
    """The text of a template or style sheet of this package."""
    return files("fedjob.report").joinpath(name).read_text("utf-8")

"""The page itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

from fedjob.protocol.commit import Commit
from fedjob.reasons import Reason
from fedjob.report.cards import cards
from fedjob.report.charts import all_charts
from fedjob.report.facts import JobFacts
from fedjob.report.markup import Html, join, tag
from fedjob.report.problems import problems, problems_section, reasons_section
from fedjob.report.series import headline, metric_series, trained
from fedjob.report.table import clients_table, rounds_table
from fedjob.report.words import count, figure, plural

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The page asks for nothing and runs nothing, whatever a job's names hold."""

CATALOGUE = {reason.value: f"{reason.summary} What to do: {reason.page}." for reason in Reason}


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
    charts = all_charts(ordered, facts.shards)
    found = problems(ordered)
    body = [
        _header(facts, ordered),
        cards(facts, ordered, known),
        tag("section", tag("h2", "Charts"), tag("div", *charts, class_="charts")) if charts else "",
        problems_section(found, known),
        rounds_table(ordered) if ordered else tag("p", "No round is committed yet.", class_="note"),
        clients_table(ordered, facts.shards),
        _settings(facts),
        reasons_section([facts.reason, *(problem.reason for problem in found)], known) or "",
        tag("footer", f"fedjob report{', ' + facts.generated if facts.generated else ''}"),
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{facts.name}: {facts.state}"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(files("fedjob.report").joinpath("style.css").read_text("utf-8"))),
    ]
    page = tag("html", tag("head", *head), tag("body", tag("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _header(facts: JobFacts, commits: Sequence[Commit]) -> Html:
    where = tag(
        "p", "FederatedJob ", tag("bdi", f"{facts.namespace}/{facts.name}"), class_="kicker"
    )
    message = tag("p", facts.message, class_="message") if facts.message else ""
    return tag(
        "header",
        where,
        tag("h1", tag("bdi", facts.name)),
        tag("p", _sentence(facts, commits)),
        message,
    )


def _sentence(facts: JobFacts, commits: Sequence[Commit]) -> Html:
    rounds = trained(commits)
    if not rounds:
        return join(("No round of ", plural(facts.total_rounds, "round"), " is committed yet."))
    workers = {p.name for commit in rounds for p in commit.participants}
    told: list[object] = [
        tag("bdi", facts.class_name or "The model"),
        f" was trained on {plural(len(workers), 'worker')} over "
        f"{count(rounds[-1].round)} of {plural(facts.total_rounds, 'round')}",
    ]
    line = headline(metric_series(commits))
    if line and line.validation:
        value = figure(line.points[-1][1])
        told += ["; on validation data the global model reaches ", tag("b", f"{line.base} {value}")]
    return join((*told, "."))


def _settings(facts: JobFacts) -> Html:
    if not facts.settings:
        return Html("")
    pairs = [
        tag("div", tag("dt", name), tag("dd", tag("bdi", value)))
        for name, value in facts.settings.items()
    ]
    return tag(
        "section", tag("h2", "Settings"), tag("dl", *pairs, class_="settings"), id="settings"
    )

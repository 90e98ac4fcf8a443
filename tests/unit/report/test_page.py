"""The page as a whole: its content, and that nothing in a job's names can change its markup."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from fedjob.protocol.commit import ClientFailure, Commit, Participant, RoundTimes
from fedjob.report import JobFacts, build
from fedjob.report.page import printable, reason_id
from support.report_samples import FACTS, commit


class Page(HTMLParser):
    """Reads a page; fails where an element is not closed as it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag in {"meta", "link"}:
            self._open.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    def ids(self) -> list[str]:
        return [found for _, attrs in self.tags if (found := attrs.get("id"))]


def page(facts: JobFacts, commits: list[Commit], reasons: dict[str, str] | None = None) -> Page:
    return Page(build(facts, commits, reasons))


def test_summary_names_state_rounds_metric_samples_time_and_model() -> None:
    text = page(FACTS, [commit(n) for n in range(4)]).text
    assert "DigitNet was trained on 2 workers over 3 of 3 rounds" in text
    for expected in ("Complete", "3 / 3", "0.9500", "1,150", "13.0 s", "41.9 KB", f"{3:064x}"):
        assert expected in text


def test_commits_may_come_in_any_order() -> None:
    commits = [commit(n) for n in range(4)]
    assert build(FACTS, commits[::-1]) == build(FACTS, commits)


def test_every_chart_has_title_description_and_a_table() -> None:
    found = page(FACTS, [commit(n) for n in range(4)])
    charts = [attrs for tag, attrs in found.tags if tag == "svg"]
    assert len(charts) == 5  # metrics, loss, phases, seconds by client, samples
    ids = found.ids()
    assert len(ids) == len(set(ids))
    for chart in charts:
        assert chart["role"] == "img"
        assert chart["aria-labelledby"] in ids
        assert chart["aria-describedby"] in ids
    links = [attrs["href"] for tag, attrs in found.tags if tag == "a"]
    assert len(links) == 5
    assert all(link and link.removeprefix("#") in ids for link in links)
    assert (
        "val_accuracy: 0.8000 in round 0, 0.9500 in round 3, best 0.9500 in round 3." in found.text
    )


def test_tables_hold_every_round_and_every_client() -> None:
    found = page(FACTS, [commit(n) for n in range(4)])
    assert found.count("tr") == 1 + 4 + 1 + 2
    assert "0 (initial)" in found.text
    assert "digits-1.zip" in found.text


@pytest.mark.parametrize(
    ("case", "commits", "charts"),
    [
        ("nothing yet", [], 0),
        ("only the initial model", [commit(0)], 2),
        ("one round", [commit(0), commit(1)], 5),
        ("a phase of no time", [commit(1, times=RoundTimes(train=1, total=1))], 5),
        ("no metrics", [commit(n, metrics={}) for n in range(3)], 3),
        (
            "metrics in some rounds",
            [commit(1, metrics={}), commit(2), commit(3, metrics={"a": 7})],
            6,
        ),
        ("no times", [commit(1, times=RoundTimes(), participants=[])], 2),
        (
            "values that no axis holds",
            [commit(1).model_copy(update={"metrics": {"a": float("inf"), "b": 1e305, "c": 0}})],
            4,
        ),
        ("equal and tiny values", [commit(n, metrics={"loss": 1e-320 * n}) for n in (1, 2)], 4),
        ("negative values", [commit(n, metrics={"reward": -3.0 * n}) for n in (1, 2)], 4),
        ("rounds that never happened in between", [commit(1), commit(900)], 5),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_page_is_whole_whatever_the_commits_hold(
    case: str, commits: list[Commit], charts: int
) -> None:
    text = build(FACTS, commits)
    assert Page(text).count("svg") == charts
    for attribute in re.findall(r' (?:x|y|cx|cy|d|width|height|x1|y1)="([^"]*)"', text):
        assert "nan" not in attribute, case
        assert "inf" not in attribute, case


def test_thousand_rounds_are_drawn_with_few_points_and_listed_in_full() -> None:
    commits = [commit(n) for n in range(1001)]
    text = build(dataclasses.replace(FACTS, total_rounds=1000), commits)
    found = Page(text)
    paths = [attrs["d"] or "" for tag, attrs in found.tags if tag == "path"]
    assert paths
    assert all(path.count("L") <= 205 for path in paths)
    assert found.count("rect") <= 60 * 5 + 10
    assert found.count("tr") == 1 + 1001 + 1 + 2
    assert len(text) < 1_000_000


def test_table_of_many_rounds_says_that_it_is_thinned() -> None:
    commits = [commit(n) for n in range(3000)]
    found = page(dataclasses.replace(FACTS, total_rounds=3000), commits)
    assert "1,001 of 3,000 rounds, evenly picked." in found.text
    assert found.count("tr") == 1 + 1001 + 1 + 2


def test_many_clients_are_drawn_as_their_spread() -> None:
    crowd = [Participant(name=f"worker-{i}", samples=i + 1, seconds=i + 1) for i in range(64)]
    found = page(FACTS, [commit(n, participants=crowd) for n in (1, 2)])
    for name in ("slowest", "median", "fastest", "The first 24 of 64 clients."):
        assert name in found.text
    assert found.text.index("worker-2 ") < found.text.index("worker-10 ")


OWN_TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "body",
        "main",
        "header",
        "section",
        "footer",
    ),
    *("p", "h1", "h2", "h3", "bdi", "b", "div", "span", "small", "code", "a", "ul", "li"),
    *("figure", "figcaption", "svg", "desc", "line", "text", "tspan", "path", "circle", "rect"),
    *("table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd"),
}
HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=https://example.org/x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></svg><b>",
    "<!--",
    "]]>",
    "&lt;&amp;",
    "a\x00b\x1b[31mc\ud800d\u202ee",
    "x" * 5000,
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_text(name: str) -> None:
    facts = JobFacts(
        name=name,
        namespace=name,
        state=name,
        reason=name,
        message=name,
        class_name=name,
        total_rounds=2,
        shards={name: name},
        settings={name: name},
        generated=name,
    )
    worker = Participant(name=name, samples=1, seconds=1, metrics={name: 1}, warnings=[name])
    failure = ClientFailure(name=name, reason=name, message=name)
    odd = {
        "metrics": {name: 0.5, f"val_{name}": 0.5, f"loss{name}": 3.0},
        "participants": [worker],
        "failures": [failure],
        "sha256": name,
    }
    hostile = build(facts, [commit(1, **odd), commit(2, **odd)], {name: name})
    tame = build(
        facts, [commit(1, **odd), commit(2, **odd)], {name: name}
    ).encode()  # no lone surrogate
    assert tame.decode() == hostile
    found = Page(hostile)
    assert {tag for tag, _ in found.tags} <= OWN_TAGS
    for tag, attrs in found.tags:
        assert not any(key.startswith("on") for key in attrs), tag
        assert (attrs.get("href") or "#").startswith(("#", "data:,"))
        assert "src" not in attrs
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", hostile)


def test_page_fetches_nothing_and_runs_nothing() -> None:
    text = build(FACTS, [commit(n) for n in range(4)])
    assert "<script" not in text
    assert not re.search(r"https?://|//[a-z]|@import|url\(", text)
    policy = next(a["content"] for t, a in Page(text).tags if a.get("http-equiv"))
    assert policy
    assert policy.startswith("default-src 'none';")
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


def test_section_without_settings_is_left_out() -> None:
    assert "settings" in page(FACTS, []).ids()
    assert "settings" not in page(dataclasses.replace(FACTS, settings={}), []).ids()


def test_failures_and_warnings_are_grouped_and_explained() -> None:
    failure = ClientFailure(
        name="worker-1", reason="NonFiniteWeights", message="head.weight is NaN"
    )
    unsure = Participant(name="worker-0", samples=1, warnings=["weights not loaded"])
    commits = [commit(n, participants=[unsure]) for n in (1, 2, 3, 5)]
    commits.append(commit(6, failures=[failure]))
    facts = dataclasses.replace(
        FACTS, state="Failed", reason="OutOfMemory", message="reduce batch_size"
    )
    reasons = {
        "NonFiniteWeights": "The weights hold NaN.",
        "OutOfMemory": "Memory ran out.",
        "NeverNamed": "Not on this page.",
    }
    found = page(facts, commits, reasons)
    assert found.text.index("head.weight is NaN") < found.text.index("weights not loaded")
    assert "rounds 1\u20133, 5" in found.text
    links = {attrs["href"] for tag, attrs in found.tags if tag == "a"}
    assert (
        {"#reason-NonFiniteWeights", "#reason-OutOfMemory"}
        <= links
        <= {f"#{i}" for i in found.ids()}
    )
    assert "Memory ran out." in found.text
    assert "Not on this page." not in found.text


def test_reason_without_a_text_is_named_and_not_linked() -> None:
    failure = ClientFailure(name="worker-1", reason="Odd", message="x")
    found = page(FACTS, [commit(1, failures=[failure])])
    assert "Odd" in found.text
    assert "reason-Odd" not in str(found.tags)


def test_warnings_are_linked_to_their_reason() -> None:
    worker = Participant(name="worker-0", samples=1, warnings=["WeightsNotLoaded: x", "Odd: y"])
    found = page(FACTS, [commit(1, participants=[worker])])
    links = [attrs["href"] for tag, attrs in found.tags if tag == "a"]
    assert "#reason-WeightsNotLoaded" in links
    assert "#reason-TrainingWarning" in links
    assert "Odd: y" in found.text


def test_more_problems_than_fit_are_counted() -> None:
    failures = [
        ClientFailure(name=f"worker-{i}", reason="Lost", message="gone") for i in range(130)
    ]
    assert "And 30 more." in page(FACTS, [commit(1, failures=failures)]).text


def test_catalogue_explains_reasons_by_default() -> None:
    failure = ClientFailure(name="worker-1", reason="NonFiniteWeights", message="x")
    found = page(FACTS, [commit(1, failures=[failure])])
    assert "What to do: docs/reference/reasons/NonFiniteWeights.md." in found.text


def test_unprintable_characters_become_a_sign() -> None:
    assert printable("a\x00b\u202ec\ud800") == "a\ufffdb\ufffdc\ufffd"
    assert printable("line\n\ttab") == "line\n\ttab"
    assert printable(7) == "7"


def test_ids_hold_no_blanks() -> None:
    assert reason_id("Odd Öne") == "reason-Odd--ne"


def test_page_is_written_compactly() -> None:
    """Between elements, where a browser shows none, there is hardly any white space."""
    text = build(FACTS, [commit(n) for n in range(50)])
    assert len(re.findall(r">\s+<", text)) < 30

"""Documentation pages: links lead somewhere, lines fit, and what code cites exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.repository import ROOT, text_of, tracked

WIDTH = 100
GENERATED = Path("docs/reference/spec.md")
"""Its list items are messages of the schema, each on one line."""
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)|!\[[^\]]*\]\((?P<image>[^)\s]+)\)")
CITED = re.compile(r"(?<![\w/.:-])docs/[\w./-]*\w")
HISTORY = ("docs/contributing/decisions/",)
"""Decision records are history: they may name files that have moved since."""


PAGES = [path for path in tracked("docs", "*.md") if path.suffix == ".md"]
TOPS = ("sdk", "operator", "images", "charts", "tests", "examples", "*.toml", "Makefile")
SOURCES = [path for path in tracked(*TOPS) if path.suffix not in (".whl", ".tgz")]


def prose(path: Path) -> list[tuple[int, str]]:
    """The lines of a page outside code blocks, with their numbers."""
    found, fenced = [], False
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            found.append((number, line))
    return found


def links(path: Path) -> list[str]:
    """Targets of a page's links and images; the text of a link may be wrapped."""
    text = "\n".join(line for _, line in prose(path))
    return [match["target"] or match["image"] for match in LINK.finditer(text)]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, spelled as GitHub and MkDocs spell them."""
    found: set[str] = set()
    for _, line in prose(path):
        if line.startswith("#"):
            title = re.sub(r"[`*]", "", line.lstrip("#").strip()).lower()
            found.add(re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", title)))
    return found


def test_there_are_pages_to_check() -> None:
    assert len(PAGES) > 80
    assert len(SOURCES) > 300


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_relative_links_lead_to_files_and_headings(path: Path) -> None:
    for target in links(path):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (ROOT / path.parent / name).resolve() if name else ROOT / path
        assert there.exists(), f"{path}: no {target}"
        if anchor:
            assert anchor in anchors(there.relative_to(ROOT)), f"{path}: no {target}"


@pytest.mark.parametrize("path", [page for page in PAGES if page != GENERATED], ids=str)
def test_lines_fit(path: Path) -> None:
    """Tables and code blocks excepted: neither can be wrapped."""
    wide = [
        number for number, line in prose(path) if len(line) > WIDTH and not line.startswith("|")
    ]
    assert wide == [], f"{path}: lines {wide} are wider than {WIDTH}"


def test_every_page_is_reached_from_the_index() -> None:
    """A page that no other page links to is not found by readers."""
    reached, waiting = set(), [Path("docs/index.md")]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        for target in links(path):
            name = target.partition("#")[0]
            there = (ROOT / path.parent / name).resolve()
            if name and there.is_dir() and there.is_relative_to(ROOT / "docs"):
                waiting += [page for page in PAGES if (ROOT / page).parent == there]
            elif name.endswith(".md") and there.is_relative_to(ROOT):
                waiting.append(there.relative_to(ROOT))
    missing = [path for path in PAGES if path.parts[0] == "docs" and path not in reached]
    assert missing == []


def test_cited_pages_exist() -> None:
    missing = []
    for path in [*SOURCES, *PAGES]:
        if str(path).startswith(HISTORY):
            continue
        for match in CITED.finditer(text_of(path)):
            cited = ROOT / match[0]
            if not cited.exists() and not list(cited.parent.glob(f"{cited.name}-*.md")):
                missing.append(f"{path}: {match[0]}")
    assert missing == []


def test_cited_sections_and_rows_of_the_contract_exist() -> None:
    contract = text_of(Path("docs/reference/contract.md"))
    missing = []
    for path in [*SOURCES, *PAGES]:
        text = text_of(path)
        sections = re.findall(r"CONTRACT section (\d+)", text)
        missing += [f"{path}: section {n}" for n in sections if f"\n## {n}. " not in contract]
        for numbers in re.findall(r"CONTRACT rows? ((?:\d+(?:, | and | to )?)+)", text):
            rows = re.findall(r"\d+", numbers)
            missing += [f"{path}: row {n}" for n in rows if f"\n| {n} | " not in contract]
    assert missing == []


def test_nothing_cites_plans_that_are_not_in_the_repository() -> None:
    plans = re.compile(r"\b(DESIGN|HOUSE|TENANCY|PLANE)\b(?!\s*=)")
    this = Path(__file__).resolve().relative_to(ROOT)
    assert [p for p in [*SOURCES, *PAGES] if p != this and plans.search(text_of(p))] == []

"""Retired words stay out: docs/concepts/glossary.md has the terms that are used instead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.repository import python_files, text_of, tracked

PHRASES = (
    "anew", "goes on", "for want of", "told", "said", "heard", "words", "hurt", "strange",
    "leftovers", "tether", "forge", "inbox", "astray", "there is of it",
)  # fmt: skip
"""In text: comments, docstrings, messages, docs, test names are in `NAMES`."""
PHRASE = re.compile(
    r"(?<![\w-])(" + "|".join(r"\s+".join(p.split()) for p in PHRASES) + r")(?![\w-])",
    re.IGNORECASE,
)
IS_NO = re.compile(r"(?P<there>there[\s#]+)?\bis no (?!longer\b|more\b)", re.IGNORECASE)
"""`x is no integer` is not English; `there is no x` and `x is no longer there` are."""

CLASSES = {
    "World": "Cache", "Scene": "JobView", "Situation": "JobView", "Seen": "EndInputs",
    "Found": "ConditionValue", "News": "EventNote", "Facts": "Observations", "Site": "PodSlot",
    "SitePlan": "SlotPlan", "Wishes": "SegmentRequest",
}  # fmt: skip
PARTS = {
    "given_up": "exhausted", "hurt": "restarted", "said": "server_status",
    "strange": "foreign_owners",
    "forge": "fork_server", "board": "status_store", "inbox": "result_receiver",
    "tether": "die_with_parent", "leftovers": "orphans", "heard": "a name of what was received",
    "told": "a name of what was sent", "anew": "again",
}  # fmt: skip
"""Parts of identifiers: `_said`, `StatusBoard` and `saidBefore` hold one."""
WHOLE = {
    "operator/fedjob_operator": {
        "world": "cache", "scene": "view", "situation": "view", "facts": "observations",
        "site": "slot", "sites": "slots", "news": "notes", "going": "disruption",
        "stored": "log_status", "held": "name_conflicts", "wishes": "request",
    },
    "images/runtime/fedjob_runtime": {"turn": "training_lock", "bound": "die_with_parent"},
}  # fmt: skip
"""Whole identifiers that have another name in that folder."""

HISTORY = Path("docs/contributing/decisions")
"""Decision records quote what was written when they were made."""
EXCEPT = {
    Path("tests/unit/house/test_language.py"),
    Path("tests/cluster/node/build"),  # its hash names the node image, which takes minutes
}
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".j2", ".txt", ".tpl", ".sh", ".toml", ".css", ".html"}
TOPS = ("sdk", "operator", "images", "charts", "examples", "tests", "docs", "*.md", "Makefile")


def texts() -> list[Path]:
    """Every text file whose language is ours."""
    return [
        path
        for path in tracked(*TOPS)
        if (path.suffix in SUFFIXES or path.suffix == "")
        and path not in EXCEPT
        and not path.is_relative_to(HISTORY)
    ]


def phrases_of(text: str) -> Iterator[tuple[int, str]]:
    """Line number and phrase of each retired phrase."""
    isnt = (match for match in IS_NO.finditer(text) if not match["there"])
    for match in (*PHRASE.finditer(text), *isnt):
        yield text.count("\n", 0, match.start()) + 1, " ".join(match[0].split())


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line number and name of everything that Python code names or refers to."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name():
                yield line, node.id
            case ast.Attribute():
                yield line, node.attr
            case ast.arg():
                yield line, node.arg
            case ast.keyword() if node.arg:
                yield line, node.arg
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield line, node.name
            case ast.alias():
                yield 0, node.asname or node.name.rpartition(".")[2]


def parts_of(name: str) -> str:
    """An identifier as `_`-separated lower-case parts, with one at both ends."""
    return "_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_") + "_"


def retired_names(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line number and complaint for each retired identifier of a Python file."""
    whole = next((w for folder, w in WHOLE.items() if path.is_relative_to(folder)), {})
    for line, name in identifiers(ast.parse(text)):
        if name in CLASSES:
            yield line, f"{name} is {CLASSES[name]} now"
        elif name.strip("_") in whole:
            yield line, f"{name} is {whole[name.strip('_')]} now"
        else:
            for part, instead in PARTS.items():
                if f"_{part}_" in parts_of(name):
                    yield line, f"{name}: write {instead}"


def test_retired_phrases_stay_out() -> None:
    found = [
        (path, f"line {line}: {phrase!r}")
        for path in texts()
        for line, phrase in phrases_of(text_of(path))
    ]
    assert found == []


def test_retired_names_stay_out() -> None:
    found = [
        (path, f"line {line}: {complaint}")
        for path in python_files("sdk", "operator", "images", "examples", "tests")
        if path not in EXCEPT
        for line, complaint in retired_names(path, text_of(path))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is started Anew.", ["Anew"]),
        ("it goes\n    on", ["goes on"]),
        ("The parts are renewed; keywords, wording and foretold stay.", []),
        ("It is no list. There is no list. It is no longer a list.", ["is no"]),
        ("said_before = 1  # an identifier: the other test's", []),
    ],
)
def test_a_phrase_is_found_as_whole_words(text: str, found: list[str]) -> None:
    assert [phrase for _, phrase in phrases_of(text)] == found


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("class Scene: pass", 1),
        ("class StatusBoard: pass", 1),
        ("def f(said, *, x): return x.given_up", 2),
        ("f(strange=1)", 1),
        ("from a import inbox", 1),
        ("onboarding = dashboard = aboard = 1", 0),
    ],
)
def test_a_name_is_found_wherever_it_is_written(code: str, count: int) -> None:
    assert len(list(retired_names(Path("sdk/x.py"), code))) == count


def test_some_names_are_retired_in_one_folder_only() -> None:
    code = "held = 1"
    assert list(retired_names(Path("operator/fedjob_operator/planning/x.py"), code))
    assert not list(retired_names(Path("sdk/fedjob/x.py"), code))

"""Every `fedjob` command line that the docs show is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from fedjob.cli.app import app
from support.repository import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GROUP = cast(TyperGroup, typer.main.get_command(app))
PLACEHOLDERS = {"SHELL": "bash", "N": "1", "I": "1"}
"""A value for each word in capitals that stands for a choice or a number."""
_INLINE = re.compile(r"`((?:kubectl )?fedjob [a-z][^`]*)`")
_LINE = re.compile(r"^(?:    |\t)\s*(?:[$] )?(?:[A-Z_]+=\S+ )*((?:kubectl )?fedjob [a-z].*)$")
_END = re.compile(r"\s(?:[|>&#;]|\d>|&&).*$|\s#\s.*$")


def shown(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and command; a command that continues on the next line is joined."""
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        for found in _INLINE.finditer(line):
            yield number, found[1]
        block = _LINE.match(line)
        if block is None:
            continue
        text, following = block[1], number
        while text.endswith("\\"):
            text = text[:-1] + lines[following].strip()
            following += 1
        yield number, text


COMMANDS = [
    (f"{path.relative_to(ROOT)}:{number}", text) for path in PAGES for number, text in shown(path)
]


def problem_of(text: str) -> str | None:
    """What the command line says against a command; None where it takes it."""
    parts = shlex.split(_END.sub("", text).removeprefix("kubectl "))[1:]
    parts = [PLACEHOLDERS.get(word, word) for word in parts]
    command = GROUP.commands.get(parts[0])
    if command is None:
        return f"there is no command {parts[0]}"
    try:
        command.make_context(parts[0], parts[1:])
    except TyperException as error:
        # Prose names a command without its arguments.
        missing = type(error).__name__ == "MissingParameter"
        return None if missing else str(getattr(error, "message", error))
    return None


def is_prose(text: str) -> bool:
    """Whether it is a list of commands in a sentence, such as `fedjob build, fedjob upload`."""
    return "," in text or "..." in text or "…" in text


@pytest.mark.parametrize(("where", "text"), COMMANDS, ids=[where for where, _ in COMMANDS])
def test_shown_command_is_taken(where: str, text: str) -> None:
    if is_prose(text):
        names = re.findall(r"fedjob ([a-z]+)", text)
        assert set(names) <= set(GROUP.commands), where
        return
    assert problem_of(text) is None, f"{where}: {text}"


def test_every_command_is_shown_with_an_example() -> None:
    named = {name for _, text in COMMANDS for name in re.findall(r"fedjob ([a-z]+)", text)}
    assert set(GROUP.commands) <= named


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("fedjob fetch digits", "no command fetch"),
        ("fedjob result digits --folder out", "--folder"),
        ("fedjob completion tcsh", "tcsh"),
        ("fedjob result digits --round many > log", "valid integer"),
        ("fedjob result digits --round 3 | tail", None),
        ("kubectl fedjob list -A", None),
    ],
)
def test_commands_that_do_not_exist_are_noticed(text: str, problem: str | None) -> None:
    found = problem_of(text)
    assert (found is None) if problem is None else (problem in (found or ""))

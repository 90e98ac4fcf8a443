"""What no linter knows: how files and folders are named, how large they are, what packages say."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.repository import PACKAGES, ROOT, python_files, text_of

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
LIMITS = re.compile(
    r"\b(not|no|nor|never|nothing|none|only|nowhere|neither|belongs? to|lives? in)\b", re.IGNORECASE
)
MOST_LINES = 500
"""Most files have under 200. One beyond this says more than one thing."""
MOST_MODULES = 20
"""Modules of one folder, `__init__.py` not counted: more than that is not read, but searched."""
MOST_POSITIONAL = 5
"""Parameters that a caller may pass without their name; `self` and `cls` are not counted."""
SHIPPED = python_files(*PACKAGES)
EVERYTHING = python_files(*PACKAGES, "tests", "examples")


def test_there_is_something_to_check() -> None:
    assert len(SHIPPED) > 200
    assert len(EVERYTHING) > 350


def test_a_shipped_file_begins_with_a_docstring() -> None:
    assert [path for path in SHIPPED if not ast.get_docstring(ast.parse(text_of(path)))] == []


def test_files_and_folders_are_named_for_what_they_hold() -> None:
    named = [path for path in EVERYTHING if FORBIDDEN_NAMES & {path.stem, *path.parent.parts}]
    assert named == []


def test_no_file_is_too_long() -> None:
    lengths = ((path, len(text_of(path).splitlines())) for path in EVERYTHING)
    found = [(path, f"{length} lines: split it") for path, length in lengths if length > MOST_LINES]
    assert found == []


def test_no_folder_has_too_many_modules() -> None:
    counts = Counter(path.parent for path in EVERYTHING if path.name != "__init__.py")
    found = [
        (folder, f"{count} modules: group them in folders")
        for folder, count in counts.items()
        if count > MOST_MODULES
    ]
    assert found == []


def positional(text: str) -> Iterator[tuple[str, int]]:
    """Each function of a file, with the number of parameters that may be passed by position."""
    tree = ast.parse(text)
    methods = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for child in node.body
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        and not any(
            isinstance(d, ast.Name) and d.id == "staticmethod" for d in child.decorator_list
        )
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = len(node.args.posonlyargs) + len(node.args.args)
            yield f"{node.name}, line {node.lineno}", count - (node in methods)


def test_no_function_has_too_many_positional_parameters() -> None:
    found = [
        (path, f"{name}: {count} positional parameters; make them keyword-only, or one value")
        for path in SHIPPED
        for name, count in positional(text_of(path))
        if count > MOST_POSITIONAL
    ]
    assert found == []


def test_parameters_are_counted_without_self() -> None:
    code = (
        "class A:\n def f(self, a, b, *, c): ...\n @staticmethod\n def g(a): ...\ndef h(a, /): ..."
    )
    assert [count for _, count in positional(code)] == [1, 2, 1]


@pytest.mark.parametrize("path", [p for p in SHIPPED if p.name == "__init__.py"], ids=str)
def test_a_package_says_what_belongs_in_it_and_what_does_not(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(text_of(path))) or ""
    if path == Path("sdk/fedjob/__init__.py"):  # the root: its subpackages say it
        assert docstring
        return
    assert len(docstring) > 80, f"{path}: say what belongs in this package"
    assert LIMITS.search(docstring), f"{path}: say what does not belong in this package"


@pytest.mark.parametrize("name", ["operator/__init__.py", "tests/operator", "sdk/__init__.py"])
def test_nothing_shadows_another_package(name: str) -> None:
    assert not (ROOT / name).exists(), f"{name} would shadow a package of the same name"


def test_every_package_folder_is_a_package() -> None:
    folders = {path.parent for path in SHIPPED}
    roots = {Path("sdk"), Path("operator"), Path("images"), Path("images/runtime")}
    missing = [str(f) for f in folders - roots if not (ROOT / f / "__init__.py").is_file()]
    assert missing == []


def test_what_is_caught_is_named() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in SHIPPED
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert found == []


def test_times_are_written_by_one_formatter() -> None:
    written = re.compile(r"\.(strftime|isoformat)\(")
    formats = Path("sdk/fedjob/formats.py")
    assert [path for path in SHIPPED if path != formats and written.search(text_of(path))] == []

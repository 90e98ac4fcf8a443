"""The habits that no linter knows: who may import whom, how files are called, what packages say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("sdk", "operator", "images")
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
LIMITS = re.compile(
    r"\b(not|no|nor|never|nothing|none|only|nowhere|neither|belongs? to|lives? in)\b", re.IGNORECASE
)
TOO_LONG = 500
"""Lines; most files have under 200. One beyond this says more than one thing."""


def python_files(*tops: str) -> list[Path]:
    """Every .py file under the top folders, relative to the repository."""
    found = [path for top in tops for path in (ROOT / top).rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in found)


def test_there_is_something_to_check() -> None:
    assert len(python_files(*SOURCES)) > 50
    assert len(python_files("tests")) > 10


def test_packages_import_in_one_direction() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_every_layer_of_the_design_is_under_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract for contract in contracts if contract["type"] == "layers")["layers"]
    named = {name for layer in layers for name in layer.replace(" ", "").split("|")}
    packages = {
        f"fedjob.{p.name}" for p in (ROOT / "sdk/fedjob").iterdir() if (p / "__init__.py").is_file()
    }
    assert packages <= named
    assert {"fedjob_operator", "fedjob_runtime", "fedjob.errors"} <= named


@pytest.mark.parametrize("path", python_files(*SOURCES, "tests", "examples"), ids=str)
def test_a_file_says_what_it_holds(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES, f"{path}: name it for what it does"
    assert not FORBIDDEN_NAMES & set(path.parent.parts), (
        f"{path}: name its folder for what it holds"
    )
    text = (ROOT / path).read_text("utf-8")
    if path.parts[0] in SOURCES:
        assert len(text.splitlines()) <= TOO_LONG, f"{path}: split it"
        assert ast.get_docstring(ast.parse(text)), f"{path}: begin with a docstring"


@pytest.mark.parametrize(
    "path", [p for p in python_files(*SOURCES) if p.name == "__init__.py"], ids=str
)
def test_a_package_says_what_belongs_in_it(path: Path) -> None:
    words = ast.get_docstring(ast.parse((ROOT / path).read_text("utf-8"))) or ""
    if path == Path("sdk/fedjob/__init__.py"):  # the root: its subpackages say it
        assert words
        return
    assert len(words) > 80, f"{path}: say what belongs in this package"
    assert LIMITS.search(words), f"{path}: say what does not belong in this package"


@pytest.mark.parametrize("name", ["operator/__init__.py", "tests/operator", "sdk/__init__.py"])
def test_what_would_shadow_another_package_is_not_there(name: str) -> None:
    assert not (ROOT / name).exists(), f"{name} would shadow a package of the same name"


def test_every_package_folder_is_a_package() -> None:
    folders = {path.parent for path in python_files(*SOURCES)}
    roots = {Path("sdk"), Path("operator"), Path("images/runtime")}
    missing = [str(f) for f in folders - roots if not (ROOT / f / "__init__.py").is_file()]
    assert missing == []


@pytest.mark.parametrize("path", python_files(*SOURCES), ids=str)
def test_nothing_is_caught_without_a_name(path: Path) -> None:
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{path}:{node.lineno}: name what is caught"


def test_the_contract_names_tests_that_are_there() -> None:
    lines = (ROOT / "docs/reference/contract.md").read_text("utf-8").splitlines()
    rows = [line.split("|")[1:-1] for line in lines if re.match(r"\| \d+ \|", line)]
    assert [int(row[0]) for row in rows] == list(range(1, 42))
    for row in rows:
        for cell in filter(None, (part.strip() for part in row[-1].split(";"))):
            path, _, names = cell.partition(":")
            file = ROOT / "tests" / path.strip("` ")
            assert file.is_file(), f"row {row[0]}: {file} is gone"
            for name in filter(None, (name.strip() for name in names.split(","))):
                assert f"def {name}(" in file.read_text("utf-8"), f"row {row[0]}: {name} is gone"

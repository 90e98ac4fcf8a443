"""Unit tests mirror modules: where a module is says where its test is, and the other way round.

    sdk/fedjob/<folders>/<module>.py                       tests/unit/<folders>/test_<module>.py
    sdk/fedjob/<module>.py                                 tests/unit/fedjob/test_<module>.py
    operator/fedjob_operator/<folders>/<module>.py         tests/unit/operator_/<folders>/...
    images/runtime/fedjob_runtime/<folders>/<module>.py    tests/unit/runtime/<folders>/...
    images/<module>.py                                     tests/unit/images/...
    tests/chaos/<module>.py                                tests/unit/chaos/...

Several files for one module are `test_<module>_<aspect>.py`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from support.repository import ROOT, python_files, text_of

UNIT = Path("tests/unit")
MIRRORS = (
    (UNIT / "operator_", Path("operator/fedjob_operator")),
    (UNIT / "runtime", Path("images/runtime/fedjob_runtime")),
    (UNIT / "images", Path("images")),
    (UNIT / "chaos", Path("tests/chaos")),
)
NO_MODULES = (UNIT / "house", UNIT / "chart")
"""Tests of rules and of the chart, which have no modules."""
LOGIC = (
    ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.Match, ast.Try, ast.BoolOp,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
)  # fmt: skip


def folder_of_tests(module: Path) -> Path:
    """Where the unit tests of a module belong."""
    for tests, modules in MIRRORS:
        if module.is_relative_to(modules):
            return tests / module.parent.relative_to(modules)
    folders = module.parent.relative_to("sdk/fedjob")
    return UNIT / folders if folders.parts else UNIT / "fedjob"


def folder_of_modules(test: Path) -> Path:
    """Where the modules are that a folder of unit tests mirrors."""
    for tests, modules in MIRRORS:
        if test.is_relative_to(tests):
            return modules / test.parent.relative_to(tests)
    folders = test.parent.relative_to(UNIT)
    return Path("sdk/fedjob") if folders == Path("fedjob") else Path("sdk/fedjob") / folders


def is_named_for(test: Path, module: Path) -> bool:
    """Whether a test file has a module's name, or that and an aspect."""
    name = module.parent.name if module.stem == "__init__" else module.stem.strip("_")
    tested = test.stem.removeprefix("test_")
    return tested == name or tested.startswith(f"{name}_")


def has_logic(text: str) -> bool:
    """Whether a function of the module decides, repeats or selects anything."""
    return any(
        isinstance(inner, LOGIC)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    )


TESTS = [
    path
    for path in python_files("tests/unit")
    if path.name.startswith("test_") and not any(path.is_relative_to(f) for f in NO_MODULES)
]
MODULES = python_files("sdk", "operator", "images")
SHAPED = [path for path in MODULES if has_logic(text_of(path))]


def test_there_is_something_to_check() -> None:
    assert len(TESTS) > 50
    assert len(SHAPED) > 100


def test_every_unit_test_is_named_for_a_module() -> None:
    found = []
    for test in TESTS:
        folder = folder_of_modules(test)
        beside = [*(ROOT / folder).glob("*.py"), *(ROOT / folder).glob("*/__init__.py")]
        if not any(is_named_for(test, module) for module in beside):
            found.append((test, f"no module of {folder} has this name"))
    assert found == []


def test_every_module_with_logic_has_a_unit_test() -> None:
    found = []
    for module in SHAPED:
        folder = folder_of_tests(module)
        if module.name == "__init__.py":
            folder = folder.parent if folder != UNIT / "fedjob" else folder
        named = [test for test in TESTS if test.parent == folder and is_named_for(test, module)]
        if not named:
            found.append((module, f"no {folder}/test_{module.stem}.py"))
    assert found == []


@pytest.mark.parametrize(
    ("test", "module", "fits"),
    [
        ("test_plan.py", "plan.py", True),
        ("test_plan_shards.py", "plan.py", True),
        ("test_planning.py", "plan.py", False),
        ("test_operator_plan.py", "plan.py", False),
        ("test_data.py", "data/__init__.py", True),
    ],
)
def test_names_are_compared_by_module_and_aspect(test: str, module: str, fits: bool) -> None:
    assert is_named_for(Path(test), Path(module)) is fits


def test_a_module_and_its_test_lead_to_each_other() -> None:
    for module in SHAPED:
        test = folder_of_tests(module) / f"test_{module.stem}.py"
        assert folder_of_modules(test) == module.parent


def test_what_counts_as_logic() -> None:
    assert has_logic("def f(x):\n    return x or 1")
    assert has_logic("class A:\n    def f(self, x):\n        return [y for y in x]")
    assert not has_logic("X = [y for y in range(3)]\ndef f(x):\n    return g(x)")

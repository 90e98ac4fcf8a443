"""Every error that fedjob raises carries a reason of the catalogue, stated once by its class."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedjob.errors import (
    Fault,
    FedjobError,
    InvalidInputError,
    RunFailedError,
    UnavailableError,
    WorkspaceError,
)
from fedjob.reasons import Reason

ROOT = Path(__file__).parents[3]
SOURCES = [
    path
    for folder in ("sdk/fedjob", "operator/fedjob_operator", "images/runtime/fedjob_runtime")
    for path in (ROOT / folder).rglob("*.py")
]


def reasons_stated_by(tree: ast.Module) -> Iterator[ast.expr]:
    """Values that an error class, or one of its instances, gives to `reason`."""
    for kind in ast.walk(tree):
        if isinstance(kind, ast.ClassDef) and kind.name.endswith("Error"):
            for node in kind.body:
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "reason":
                    yield node.value
                if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "reason":
                    assert ast.unparse(node.annotation) == "Reason"
                    if node.value is not None:
                        yield node.value


def test_classes_state_their_reason_as_a_member_of_the_catalogue():
    stated = [
        (path.name, ast.unparse(value))
        for path in SOURCES
        for value in reasons_stated_by(ast.parse(path.read_text()))
    ]
    assert len(stated) > 30
    members = {f"Reason.{reason.name}" for reason in Reason}
    assert [entry for entry in stated if entry[1] not in members] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_code_guesses_at_a_reason(path):
    assert 'getattr(error, "reason"' not in path.read_text()


@pytest.mark.parametrize(
    ("error", "reason", "exit_code"),
    [
        (FedjobError("x"), Reason.INTERNAL_ERROR, 1),
        (UnavailableError("x"), Reason.INTERNAL_ERROR, 3),
        (InvalidInputError([Fault("a", "b", "c")]), Reason.SPEC_INVALID, 2),
    ],
)
def test_defaults_of_the_three_bases(error, reason, exit_code):
    assert error.reason is reason
    assert error.exit_code == exit_code


def test_text_of_an_input_error_lists_every_fault():
    faults = [Fault("spec.a", "is odd", "drop it"), Fault("spec.b", "is too", "fix it")]
    error = InvalidInputError(iter(faults))
    assert error.faults == tuple(faults)
    assert str(error) == "spec.a: is odd; drop it\nspec.b: is too; fix it"


def test_reworded_error_keeps_its_type_and_its_order():
    error = WorkspaceError([Fault("--out", "is a file", "give another --out")])
    error.reword(lambda text: text.replace("--out", "out="))
    assert str(error) == "out=: is a file; give another out="
    assert error.faults == (Fault("out=", "is a file", "give another out="),)


def test_failed_run_has_a_reason_of_the_catalogue_and_its_message():
    error = RunFailedError("digits", "OutOfMemory", "reduce batch_size")
    assert error.reason is Reason.OUT_OF_MEMORY
    assert (error.run, error.message) == ("digits", "reduce batch_size")
    assert str(error) == "digits: OutOfMemory: reduce batch_size"
    newer = RunFailedError("digits", "InventedLater", "m")
    assert newer.reason is Reason.INTERNAL_ERROR
    assert "InventedLater" in str(newer)

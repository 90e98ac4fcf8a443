"""What the training package may import, and that what it says elsewhere is so."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import fedjob.workspace
from fedjob.reasons import Reason
from fedjob_runtime.training import context, errors, generated, initial_weights

PACKAGE = Path(inspect.getfile(errors)).parent


def test_every_error_s_reason_is_in_the_catalogue() -> None:
    """The tests of the catalogue require a page for each."""
    reasons = {
        value.reason
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.TrainingError)
    }
    assert len(reasons) > 15
    assert reasons | {initial_weights.REASON} <= set(Reason)


def test_no_module_imports_nvflare() -> None:
    for file in PACKAGE.glob("*.py"):
        assert "nvflare" not in file.read_text().replace("nvflare, the network", ""), file


def test_the_errors_come_without_torch() -> None:
    """The supervisor names reasons and must stay small."""
    code = "import fedjob_runtime.training.errors, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def body(source: str) -> list[str]:
    """fl_train's statements, without its docstring, comments and annotations."""
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    train = next(function for function in functions if function.name == "fl_train")
    statements = [
        ast.Assign([node.target], node.value)
        if isinstance(node, ast.AnnAssign) and node.value
        else node
        for node in train.body[1:]
    ]
    return [
        ast.unparse(ast.fix_missing_locations(ast.Module([node], [])))
        for node in statements
        if node
    ]


def test_the_loop_that_users_read_is_the_loop_that_runs() -> None:
    """The job folder's train_loop.py and generated.py must not drift apart."""
    folder = Path(inspect.getfile(fedjob.workspace)).parent / "templates"
    template = (folder / "train_loop.py.j2").read_text()
    for mark in ("{{", "}}"):
        template = template.replace(mark, "")
    assert body(template) == body(inspect.getsource(generated))


@pytest.mark.parametrize("fields", ["documented_env", "env"])
def test_every_name_of_env_is_reserved(tmp_path: Path, fields: str) -> None:
    made = getattr(context.TrainingContext("w", "j", 0, tmp_path), fields)()
    assert set(made) <= context.CLASHES

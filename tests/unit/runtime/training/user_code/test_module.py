"""Loading model_def.py (CONTRACT row 24)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from fedjob_runtime.training.errors import (
    ModelInvalidError,
)
from fedjob_runtime.training.model import (
    load_user_module,
)
from support.training_run import DENSE_NET

Load = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Writes model_def.py (and neighbours) and loads it; the process is left as it was."""
    names, path = set(sys.modules), list(sys.path)

    def write_and_load(text: str, **neighbours: str) -> ModuleType:
        for name, content in neighbours.items():
            (tmp_path / f"{name}.py").write_text(content)
        (tmp_path / "model_def.py").write_text(text)
        return load_user_module(tmp_path, "model_def")

    yield write_and_load
    sys.path[:] = path
    for name in set(sys.modules) - names:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


def test_the_file_and_its_own_imports_are_loaded_once(load: Load, tmp_path: Path) -> None:
    """Row 24: a hand-written model_def.py, with a neighbour."""
    module = load("from layers import WIDTH\n" + DENSE_NET, layers="WIDTH = 7\n")
    assert module.WIDTH == 7
    assert load_user_module(tmp_path, "model_def") is module


def test_a_second_folder_gives_its_own_module(load: Load, tmp_path: Path) -> None:
    load(DENSE_NET)
    other = tmp_path / "other"
    other.mkdir()
    (other / "model_def.py").write_text("MARK = 2\n")
    assert load_user_module(other, "model_def").MARK == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\nclass Net(nn.Module): pass\n", ["NameError", "'nn'", "line 2", "import torch.nn"]),
        ("import torch\nx = = 1\n", ["SyntaxError", "line 2"]),
        ("import no_such_package.sub\n", ["no_such_package", "spec.model.requirements", "line 1"]),
        ("def f():\n    return 1 / 0\nf()\n", ["ZeroDivisionError", "line 2, in f"]),
        ("import sys\nsys.exit(3)\n", ["SystemExit", "line 2"]),
        ("raise KeyboardInterrupt\n", ["KeyboardInterrupt", "line 1"]),
    ],
)
def test_a_file_that_raises_is_an_error_with_its_line(
    load: Load, text: str, expected: list[str]
) -> None:
    with pytest.raises(ModelInvalidError) as caught:
        load(text)
    assert "model_def" not in sys.modules
    for part in ["model_def.py", *expected]:
        assert part in str(caught.value)
    assert caught.value.reason == "ModelInvalid"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalidError, match=r"model_def\.py does not exist; put"):
        load_user_module(tmp_path, "model_def")


def test_a_standard_module_s_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("")
    with pytest.raises(ModelInvalidError, match="rename it"):
        load_user_module(tmp_path, "json")

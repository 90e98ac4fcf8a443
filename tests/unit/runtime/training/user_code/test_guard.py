"""What the author's code raises becomes a typed error with its line (CONTRACT row 30)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.errors import (
    OutOfMemoryInTraining,
    UserCodeError,
    WeightsError,
)
from fedjob_runtime.training.forms import run_training
from fedjob_runtime.training.model import build_model, load_user_module, model_weights
from fedjob_runtime.training.returns import TrainingResult

NET = """
import torch
from torch import nn

CALLS = []

class Net(nn.Module):
    def __init__(self, num_classes=2):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.norm = nn.BatchNorm1d(12)
        self.head = nn.Linear(12, num_classes)

    def forward(self, x):
        return self.head(self.norm(self.pool(x).flatten(1)))

"""


EXTRA = {"alpha": 0.5, "names": ["a"]}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    names, path, threads = set(sys.modules), list(sys.path), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    sys.path[:] = path
    for name in set(sys.modules) - names:
        if name in ("model_def", "layers"):
            del sys.modules[name]


@pytest.fixture
def context(tmp_path: Path) -> TrainingContext:
    root = tmp_path / "shard"
    root.mkdir()
    return TrainingContext(
        worker="worker-1",
        job_id="ns/job",
        round=2,
        data_root=root,
        local_epochs=3,
        batch_size=4,
        learning_rate=0.01,
        num_classes=2,
        img_size=8,
        manifest_file="m.ndjson",
        extra=EXTRA,
    )


Train = Callable[..., TrainingResult]


@pytest.fixture
def module_of(tmp_path: Path) -> Callable[[str], ModuleType]:
    def make(text: str) -> ModuleType:
        custom = tmp_path / "custom"
        custom.mkdir()
        (custom / "model_def.py").write_text(NET + text)
        return load_user_module(custom, "model_def")

    return make


@pytest.fixture
def train(module_of: Callable[[str], ModuleType], context: TrainingContext) -> Train:
    """Writes a model_def.py and runs its training function from global weights of 0.5."""

    def run(
        text: str, name: str | None = None, weights: Any = None, **other: Any
    ) -> TrainingResult:
        module = module_of(text)
        model = build_model(module, "Net", {}, 2)
        if weights is None:
            weights = {k: torch.full_like(v, 0.5) for k, v in model_weights(model).items()}
            weights["norm.num_batches_tracked"] = torch.tensor(7)
        return run_training(module, name, model, weights, other.pop("context", context), **other)

    return run


def calls() -> list[Any]:
    return list(sys.modules["model_def"].CALLS)


@pytest.mark.parametrize(
    ("body", "kind", "line", "expected"),
    [
        ("    return 1 / 0\n", "ZeroDivisionError", 18, "division by zero"),
        ("    raise SystemExit(4)\n", "SystemExit", 18, "return a dict"),
        ("    raise KeyboardInterrupt\n", "KeyboardInterrupt", 18, "return a dict"),
        (
            "    return step()\ndef step():\n    raise ValueError('bad')\n",
            "ValueError",
            20,
            "in step",
        ),
        ("    torch.zeros(2) @ torch.zeros(3)\n", "RuntimeError", 18, "fl_train_model in round 2"),
        ("    return np.zeros(3)\n", "NameError", 18, "import numpy as np"),
        ("    import absent_package\n", "ModuleNotFoundError", 18, "spec.model.requirements"),
        (
            "    class E(Exception):\n        def __str__(self): return 1/0\n    raise E\n",
            "E",
            20,
            "E",
        ),
    ],
)
@pytest.mark.parametrize("form", ["A", "B"])
def test_whatever_the_function_raises_becomes_an_error_with_its_line(
    train: Train, form: str, body: str, kind: str, line: int, expected: str
) -> None:
    head = (
        "def fl_train_model(payload):\n" if form == "A" else "def fl_train(model, env, out_dir):\n"
    )
    with pytest.raises(UserCodeError) as caught:
        train(head + body)
    error = caught.value
    assert (error.worker, error.exception_type, error.file, error.line) == (
        "worker-1",
        kind,
        "model_def.py",
        line,
    )
    assert expected.replace("fl_train_model", "fl_train") in str(error).replace(
        "fl_train_model", "fl_train"
    )
    assert str(error).startswith("worker-1: fl_train")
    assert f'model_def.py", line {line}' in error.tail
    assert "guard.py" not in error.tail
    assert len(str(error)) < 3500


def test_a_very_long_exception_is_cut(train: Train) -> None:
    with pytest.raises(UserCodeError) as caught:
        train("def fl_train_model(payload):\n    raise ValueError('x' * 10**6)\n")
    assert len(str(caught.value)) < 3500


OUT_OF_MEMORY = [
    "raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')",
    "raise MemoryError",
    "torch.empty(2**60)",
    "raise RuntimeError('CUDA error: out of memory')",
    "raise RuntimeError('CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate')",
    "raise RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. ')",
    "raise ValueError('wrapped') from MemoryError()",
]


@pytest.mark.parametrize("statement", OUT_OF_MEMORY)
@pytest.mark.parametrize("form", ["A", "B", "C"])
def test_out_of_memory_says_reduce_batch_size_with_the_value(
    train: Train, context: TrainingContext, form: str, statement: str
) -> None:
    """Row 30; torch.empty(2**60) really asks the CPU's allocator."""
    heads = {
        "A": "def fl_train_model(payload):\n    ",
        "B": "def fl_train(model, env, out_dir):\n    ",
        "C": "Net.forward = lambda self, x: boom()\ndef boom():\n    ",
    }
    if form == "C":
        write_shard(context.data_root)
    with pytest.raises(OutOfMemoryInTraining) as caught:
        train(heads[form] + statement + "\n")
    error = caught.value
    assert error.reason == "OutOfMemory"
    assert "batch_size 4" in str(error)
    assert "reduce batch_size" in str(error)
    assert str(error).startswith("worker-1: ")
    assert "model_def.py line" in error.where


@pytest.mark.parametrize(
    "statement",
    ["raise RuntimeError('shape mismatch')", "raise ValueError('out of memory of names')"],
)
def test_other_errors_are_not_taken_for_out_of_memory(train: Train, statement: str) -> None:
    with pytest.raises(UserCodeError):
        train(f"def fl_train_model(payload):\n    {statement}\n")


def test_memory_held_by_the_failed_step_is_freed(train: Train) -> None:
    with pytest.raises(OutOfMemoryInTraining):
        train(
            "import weakref\ndef fl_train_model(payload):\n    batch = torch.zeros(10)\n"
            "    CALLS.append(weakref.ref(batch))\n    raise MemoryError\n"
        )
    assert calls()[0]() is None


def test_set_weights_in_the_function_tells_worker_tensor_and_line(train: Train) -> None:
    text = (
        "def fl_train_model(payload):\n    model = Net(num_classes=5)\n"
        '    model.set_weights(payload["initial_weights"])\n'
    )
    with pytest.raises(WeightsError) as caught:
        train(text)
    assert str(caught.value).startswith("worker-1: head.weight has shape [2, 12]")
    assert "model_def.py line 19" in str(caught.value)


def write_shard(root: Path, multi: bool = False, samples: int = 9) -> None:
    lines = []
    for i in range(samples):
        Image.new("RGB", (6, 6), (250, 0, 0) if i % 2 else (0, 0, 250)).save(root / f"{i}.png")
        lines.append(json.dumps({"id": i, "uri": f"{i}.png", "y": [i % 2] if multi else i % 2}))
    (root / "m.ndjson").write_text("\n".join(lines) + "\n")

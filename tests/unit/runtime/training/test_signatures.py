"""Which form a training function has, and how it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.errors import (
    TrainFunctionInvalidError,
)
from fedjob_runtime.training.forms import run_training
from fedjob_runtime.training.model import build_model, load_user_module, model_weights
from fedjob_runtime.training.returns import TrainingResult
from fedjob_runtime.training.signatures import Form, find_train_function

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


OK = '    return {"weights": Net().state_dict(), "samples": 3, "metrics": {"loss": 0.5}}\n'


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
    "signature",
    [
        "model, env, out_dir, logger=None",
        "model, env, out_dir",
        "net, settings, folder, logger",
        "*, out_dir, env, model",
        "*args, **kwargs",
        "model, env, out_dir, other=1, logger=None",
    ],
)
def test_form_b_s_signatures(train: Train, signature: str) -> None:
    text = f"def fl_train({signature}):\n    CALLS.append(1)\n{OK}"
    assert train(text).samples == 3
    assert calls() == [1]


@pytest.mark.parametrize(
    ("text", "name", "form"),
    [
        ("def fl_train_model(payload): pass\ndef fl_train(model, env, out_dir): pass\n", None, "A"),
        (
            "def fl_train_model(payload): pass\ndef fl_train(model, env, out_dir): pass\n",
            "fl_train",
            "B",
        ),
        ("def fl_train(model, env, out_dir): pass\n", None, "B"),
        ("def mine(payload, out_dir): pass\n", "mine", "A"),
        ("def mine(model, env, out_dir): pass\n", "mine", "B"),
        ("", None, "C"),
        ("from fedjob_runtime.training.generated import fl_train\n", "fl_train", "C"),
    ],
)
def test_which_form_a_module_has(
    module_of: Callable[[str], ModuleType], text: str, name: str | None, form: str
) -> None:
    assert find_train_function(module_of(text), name).form == Form(form)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("", "mine", "no function mine"),
        ("mine = 3\n", "mine", "a int, not a function"),
        ("", "Net", "not a function"),
        ("def fl_train_model(data): pass\n", None, "cannot be called with payload"),
        ("def fl_train_model(payload, other): pass\n", None, "give other parameters a default"),
        ("def fl_train_model(payload, /): pass\n", None, "cannot be called"),
        ("def fl_train_model(): pass\n", None, "write it as"),
        ("def fl_train(payload): pass\n", None, "model, env, out_dir"),
        ("def fl_train(model, env, out_dir, logger, more): pass\n", None, "write it as fl_train"),
        ("async def fl_train_model(payload): pass\n", None, "async"),
        ("def fl_train_model(payload): yield 1\n", None, "generator"),
    ],
)
def test_a_function_that_fits_no_form_is_refused_before_it_runs(
    module_of: Callable[[str], ModuleType], text: str, name: str | None, expected: str
) -> None:
    with pytest.raises(TrainFunctionInvalidError) as caught:
        find_train_function(module_of(text), name)
    assert expected in str(caught.value)

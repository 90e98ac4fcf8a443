"""Fixtures that run training functions as a worker does, in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.forms import run_training
from fedjob_runtime.training.model import build_model, load_user_module, model_weights
from fedjob_runtime.training.returns import TrainingResult
from support.training_run import EXTRA, NET, Train


@pytest.fixture(autouse=True)
def _process_left_as_it_was() -> Iterator[None]:
    """One thread of torch, and no module or path of a test's model file in the next test."""
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
    """Round 2 of worker-1, with an empty shard."""
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


@pytest.fixture
def module_of(tmp_path: Path) -> Callable[[str], ModuleType]:
    """Writes a model_def.py with NET and the given text, and loads it."""

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
        model = build_model(module, "Net", {}, other.pop("num_classes", 2))
        if weights is None:
            weights = {k: torch.full_like(v, 0.5) for k, v in model_weights(model).items()}
            weights["norm.num_batches_tracked"] = torch.tensor(7)
        return run_training(module, name, model, weights, other.pop("context", context), **other)

    return run

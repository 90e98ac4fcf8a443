"""Form C: the training loop for those who write none (CONTRACT rows 2 and 20)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from fedjob_runtime.training import generated
from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.errors import (
    DatasetInvalidError,
    TrainFunctionInvalidError,
)
from fedjob_runtime.training.forms import run_training
from fedjob_runtime.training.model import build_model, model_weights
from fedjob_runtime.training.returns import TrainingResult
from support.training_run import Train, write_shard


@pytest.mark.parametrize("multi", [False, True])
def test_form_c_trains_and_is_deterministic_by_worker_and_round(
    train: Train, context: TrainingContext, multi: bool
) -> None:
    """Rows 2 and 20: a model class and a shard are enough."""
    write_shard(context.data_root, multi)
    first = train("")
    module = sys.modules["model_def"]

    def again(**changes: Any) -> TrainingResult:
        fields = {name: getattr(context, name) for name in context.__slots__} | changes
        model = build_model(module, "Net", {}, 2)
        weights = {k: torch.full_like(v, 0.5) for k, v in model_weights(model).items()}
        weights["norm.num_batches_tracked"] = torch.tensor(7)
        return run_training(module, None, model, weights, TrainingContext(**fields))

    assert first.samples == 9
    assert set(first.metrics) == {"loss", "accuracy"} | ({"micro_f1"} if multi else set())
    # 9 samples in batches of 4: a last batch of one joins the one before it.
    assert int(first.weights["norm.num_batches_tracked"]) == 7 + 3 * 2
    same = again()
    assert all(torch.equal(same.weights[name], value) for name, value in first.weights.items())
    for other in (again(worker="worker-2"), again(round=3)):
        assert not torch.equal(other.weights["head.weight"], first.weights["head.weight"])
    learned = again(local_epochs=12, learning_rate=0.1)
    assert learned.metrics["accuracy"] == 1.0
    assert learned.metrics["loss"] < first.metrics["loss"]


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [(9, 4, [4, 5]), (8, 4, [4, 4]), (10, 4, [4, 4, 2]), (1, 4, [1]), (3, 1, [1, 1, 1])],
)
def test_batches_never_end_in_a_single_sample(count: int, size: int, expected: list[int]) -> None:
    parts = generated.batches(torch.arange(count), size)
    assert [len(part) for part in parts] == expected
    assert sorted(index for part in parts for index in part) == list(range(count))


def test_form_c_says_what_is_wrong_with_the_model_s_output(
    train: Train, context: TrainingContext
) -> None:
    write_shard(context.data_root)
    with pytest.raises(TrainFunctionInvalidError, match=r"^worker-1: .*output is \[5?4?, 12\]"):
        train("Net.forward = lambda self, x: self.pool(x).flatten(1)\n")


def write_targets(root: Path, width: int = 1) -> None:
    lines = []
    for i in range(8):
        Image.new("RGB", (6, 6), (30 * i, 0, 0)).save(root / f"{i}.png")
        y = [i / 8] * width if width > 1 else i / 8
        lines.append(json.dumps({"id": i, "uri": f"{i}.png", "y": y}))
    (root / "m.ndjson").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("width", [1, 3])
def test_floats_are_learned_with_the_mean_squared_error(
    train: Train, context: TrainingContext, width: int
) -> None:
    write_targets(context.data_root, width)
    fields = {name: getattr(context, name) for name in context.__slots__}
    fields |= {"num_classes": 0, "local_epochs": 60, "learning_rate": 0.05}
    result = train(
        f"Net.__init__.__defaults__ = ({width},)\n"
        "Net.forward = lambda self, x: self.head(self.pool(x).flatten(1))\n",
        num_classes=0,
        context=TrainingContext(**fields),
    )
    assert set(result.metrics) == {"loss", "mse", "mae"}
    assert result.metrics["mse"] < 0.01
    assert result.metrics["loss"] == result.metrics["mse"]


@pytest.mark.parametrize(
    ("samples", "size", "expected"),
    [
        (1, 4, "a.zip has one sample, and BatchNorm cannot train on one"),
        (3, 1, "spec.training.batchSize is 1"),
    ],
)
def test_batch_norm_on_one_sample_names_the_shard_or_the_batch_size(
    train: Train, context: TrainingContext, samples: int, size: int, expected: str
) -> None:
    write_shard(context.data_root, samples=samples)
    fields = {name: getattr(context, name) for name in context.__slots__}
    with pytest.raises(DatasetInvalidError, match=expected) as caught:
        train("", context=TrainingContext(**fields | {"batch_size": size, "shard_name": "a.zip"}))
    assert "GroupNorm" in caught.value.fix
    assert caught.value.worker == "worker-1"

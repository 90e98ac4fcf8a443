"""Evaluation of a model on a shard: built in, and by fl_validate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.errors import (
    ImageInvalidError,
    InvalidResultError,
    InvalidSamplesError,
    TrainFunctionInvalidError,
    UserCodeError,
)
from fedjob_runtime.training.evaluate import evaluate
from fedjob_runtime.training.model import load_user_module
from fedjob_runtime.training.signatures import find_validate_function
from support.training_run import write_labelled


class Fixed(nn.Module):
    """Gives the logits it holds, whatever the images are, and notes the mode it is asked in."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)
        self.norm = nn.BatchNorm1d(1)
        self.at = 0
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.training, torch.is_grad_enabled()))
        self.at += len(x)
        return self.logits[self.at - len(x) : self.at]


def context(root: Path, classes: int = 3) -> TrainingContext:
    return TrainingContext(
        "server", "job", 1, root, batch_size=2, num_classes=classes, img_size=4, extra={"alpha": 1}
    )


@pytest.mark.parametrize("generated", [False, True], ids=["own training", "form C"])
def test_built_in_single_label_metrics(tmp_path: Path, generated: bool) -> None:
    """The loss is that of the training: the generated loop's, else cross-entropy."""
    write_labelled(tmp_path, [0, 1, 2])
    logits = [[2.0, 1.0, -1.0], [3.0, 1.0, 0.0], [0.0, 0.0, 5.0]]
    model = Fixed(logits).train()
    model.norm.eval()
    metrics, samples = evaluate(model, context(tmp_path), generated=generated)
    outputs = torch.tensor(logits)
    expected = (
        nn.functional.binary_cross_entropy_with_logits(outputs, torch.eye(3))
        if generated
        else nn.functional.cross_entropy(outputs, torch.arange(3))
    )
    assert samples == 3
    assert metrics == pytest.approx({"loss": float(expected), "accuracy": 2 / 3}, rel=1e-6)
    assert model.seen == [(False, False), (False, False)]
    assert model.training
    assert not model.norm.training
    assert torch.is_grad_enabled()


def test_built_in_multi_label_metrics(tmp_path: Path) -> None:
    """Element-wise accuracy at 0.5, and micro F1 = 2 TP / (predicted + present)."""
    write_labelled(tmp_path, [[0, 1], [], [2]])
    metrics, _ = evaluate(Fixed([[1.0, -1, -1], [1, -1, -1], [-1, -1, 1]]), context(tmp_path))
    assert metrics["accuracy"] == pytest.approx(7 / 9)
    assert metrics["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))


def test_micro_f1_without_any_label_is_1(tmp_path: Path) -> None:
    write_labelled(tmp_path, [[], []])
    assert evaluate(Fixed([[-1.0], [-1.0]]), context(tmp_path, 1)).metrics["micro_f1"] == 1


def test_a_loss_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    write_labelled(tmp_path, [0, 1])
    assert set(evaluate(Fixed([[float("nan"), 0.0]] * 2), context(tmp_path, 2)).metrics) == {
        "accuracy"
    }


def test_number_of_classes_that_nobody_gave_is_that_of_the_outputs(tmp_path: Path) -> None:
    write_labelled(tmp_path, [0, 1])
    logits = [[2.0, 1.0, -1.0], [3.0, 1.0, 0.0]]
    metrics, samples = evaluate(Fixed(logits), context(tmp_path, 0))
    expected = nn.functional.cross_entropy(torch.tensor(logits), torch.arange(2))
    assert metrics == pytest.approx({"loss": float(expected), "accuracy": 0.5}, rel=1e-6)
    assert samples == 2


def test_label_above_the_outputs_is_refused_where_nobody_gave_their_number(tmp_path: Path) -> None:
    write_labelled(tmp_path, [0, 2])
    with pytest.raises(TrainFunctionInvalidError, match=r"\[2, 2\].*\[2, 3\].*fl_validate"):
        evaluate(Fixed([[0.0, 0]] * 2), context(tmp_path, 0))


def test_regression_needs_no_number_of_classes(tmp_path: Path) -> None:
    write_labelled(tmp_path, [0.5, 1.5])
    metrics, _ = evaluate(Fixed([[0.5], [0.5]]), context(tmp_path, 0))
    assert metrics == pytest.approx({"loss": 0.5, "mse": 0.5, "mae": 0.5})


@pytest.mark.parametrize("generated", [False, True], ids=["own training", "form C"])
def test_file_that_is_not_an_image_says_write_fl_validate(tmp_path: Path, generated: bool) -> None:
    """Form C trains on images, and an own fl_validate would not help it."""
    write_labelled(tmp_path, [0, 1])
    (tmp_path / "1.png").write_bytes(b"a table")
    with pytest.raises(ImageInvalidError, match="not an image") as caught:
        evaluate(Fixed([[0.0, 0]] * 2), context(tmp_path, 2), generated=generated)
    assert ("write fl_validate" in str(caught.value)) is not generated


def test_an_output_of_another_shape_says_write_fl_validate(tmp_path: Path) -> None:
    write_labelled(tmp_path, [0, 1])
    with pytest.raises(
        TrainFunctionInvalidError, match=r"^server: .*\[2, 2\].*\[2, 3\].*fl_validate"
    ):
        evaluate(Fixed([[0.0, 0]] * 2), context(tmp_path))


def validate_function(tmp_path: Path, text: str) -> Any:
    custom = tmp_path / "custom"
    custom.mkdir()
    (custom / "model_def.py").write_text(text)
    return find_validate_function(load_user_module(custom, "model_def"))


@pytest.mark.parametrize(
    ("returned", "metrics", "samples"),
    [
        ("{'acc': 0.5}", {"acc": 0.5}, 2),
        ("{'acc': 0.5, 'bad': 'x', 'samples': 7}", {"acc": 0.5}, 7),
        ("{'metrics': {'acc': 0.5}, 'samples': 9}", {"acc": 0.5}, 9),
        ("{}", {}, 2),
    ],
)
def test_the_user_s_fl_validate(
    tmp_path: Path, returned: str, metrics: dict[str, float], samples: int
) -> None:
    """Section 1: fl_validate has form B's signature."""
    write_labelled(tmp_path, [0, 1])
    function = validate_function(
        tmp_path,
        "SEEN = []\ndef fl_validate(model, env, out_dir, logger=None):\n"
        f"    SEEN.append((model.training, env, out_dir, logger))\n    return {returned}\n",
    )
    model = Fixed([]).train()
    assert evaluate(model, context(tmp_path), function) == (metrics, samples)
    ((training, env, out_dir, logger),) = sys.modules["model_def"].SEEN
    assert not training
    assert env == context(tmp_path).env()
    assert out_dir.is_dir()
    assert out_dir.is_relative_to(tmp_path / "runs")
    assert out_dir != context(tmp_path).out_dir
    assert logger is not None
    assert model.training


@pytest.mark.parametrize(
    ("body", "error", "expected"),
    [
        ("return 0.5", InvalidResultError, "a float, not a dict"),
        ("return {'a': 1, 'samples': 0}", InvalidSamplesError, "samples is 0"),
        ("raise ValueError('no')", UserCodeError, "line 2, in fl_validate"),
        ("raise SystemExit", UserCodeError, "SystemExit"),
    ],
)
def test_a_bad_fl_validate(
    tmp_path: Path, body: str, error: type[Exception], expected: str
) -> None:
    write_labelled(tmp_path, [0, 1])
    function = validate_function(tmp_path, f"def fl_validate(model, env, out_dir):\n    {body}\n")
    model = Fixed([]).train()
    with pytest.raises(error) as caught:
        evaluate(model, context(tmp_path), function)
    assert str(caught.value).startswith("server: ")
    assert expected in str(caught.value)
    assert model.training


def test_a_module_without_fl_validate_and_one_with_a_wrong_signature(tmp_path: Path) -> None:
    assert validate_function(tmp_path, "x = 1\n") is None
    sys.modules.pop("model_def")
    (tmp_path / "custom" / "model_def.py").write_text("def fl_validate(model): pass\n# longer\n")
    with pytest.raises(TrainFunctionInvalidError, match="fl_validate"):
        find_validate_function(load_user_module(tmp_path / "custom", "model_def"))

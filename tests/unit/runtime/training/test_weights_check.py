"""Whether weights fit the model: names, shapes, dtypes, finite values."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from torch import nn

from fedjob_runtime.training.errors import (
    DtypeMismatchError,
    EmptyWeightsError,
    MissingTensorError,
    NonFiniteWeightsError,
    ShapeMismatchError,
    UnexpectedTensorError,
    WeightsError,
)
from fedjob_runtime.training.weights import (
    check_weights,
)
from support.training_run import weights_like_a_model


def test_good_weights_come_back_detached_contiguous_in_order_and_in_the_model_s_dtypes() -> None:
    base = torch.arange(6.0, dtype=torch.float64, requires_grad=True).reshape(3, 2)
    given = {
        "mask": torch.tensor([False, True]),
        "count": torch.tensor(9, dtype=torch.int32),
        "b": nn.Parameter(torch.ones(3, dtype=torch.float16)),
        "a": base.t(),
    }
    checked = check_weights(given, weights_like_a_model(), "worker-0")
    assert list(checked) == ["a", "b", "count", "mask"]
    for name, expected in weights_like_a_model().items():
        assert checked[name].dtype == expected.dtype
        assert checked[name].shape == expected.shape
        assert checked[name].is_contiguous()
        assert not checked[name].requires_grad
        assert type(checked[name]) is torch.Tensor
    assert checked["a"].tolist() == [[0, 2, 4], [1, 3, 5]]


NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "error", "tensor", "expected"),
    [
        ({"a": None}, MissingTensorError, "a", "a [2, 3] is missing"),
        ({"c": torch.zeros(1)}, UnexpectedTensorError, "c", "the model has no c"),
        ({"a": torch.zeros(3, 2)}, ShapeMismatchError, "a", "[3, 2], the model has [2, 3]"),
        ({"a": torch.zeros(2, 3).numpy()}, UnexpectedTensorError, "a", "numpy.ndarray"),
        ({"a": [1.0]}, UnexpectedTensorError, "a", "builtins.list"),
        ({"a": torch.zeros(2, 3, device="meta")}, UnexpectedTensorError, "a", "meta"),
        ({"a": torch.zeros(2, 3, dtype=torch.cfloat)}, DtypeMismatchError, "a", "complex64"),
        ({"count": torch.tensor(1.5)}, DtypeMismatchError, "count", "float32, the model has int64"),
        ({"mask": torch.tensor([2, 0])}, DtypeMismatchError, "mask", "int64"),
        ({"a": torch.tensor([[0, NAN, 0], [0, 0, NAN]])}, NonFiniteWeightsError, "a", "2 of 6"),
        ({"b": torch.tensor([0, math.inf, 0])}, NonFiniteWeightsError, "b", "1 of 3"),
        (
            {"b": torch.full((3,), 1e39, dtype=torch.float64)},
            NonFiniteWeightsError,
            "b",
            "overflow",
        ),
    ],
)
def test_every_fault_names_worker_and_tensor(
    change: dict[str, Any], error: type[WeightsError], tensor: str, expected: str
) -> None:
    given: dict[str, Any] = weights_like_a_model()
    for name, value in change.items():
        if value is None:
            del given[name]
        else:
            given[name] = value
    with pytest.raises(error) as caught:
        check_weights(given, weights_like_a_model(), "worker-3")
    assert str(caught.value).startswith("worker-3: ")
    assert expected in str(caught.value)
    assert caught.value.tensor == tensor
    assert caught.value.fix


def test_empty_weights() -> None:
    with pytest.raises(EmptyWeightsError, match="worker-1: the weights are empty"):
        check_weights({}, weights_like_a_model(), "worker-1")


def test_all_faults_are_reported_together_and_the_gravest_gives_the_class() -> None:
    given = {"a": torch.zeros(1), "b": torch.zeros(3), "x": torch.zeros(1)}
    with pytest.raises(MissingTensorError) as caught:
        check_weights(given, weights_like_a_model(), "worker-0")
    for part in ("count [] is missing", "mask [2] is missing", "no x", "a has shape [1]"):
        assert part in str(caught.value)


def test_many_faults_are_counted_not_listed() -> None:
    names = {f"t{i:03}": torch.zeros(1) for i in range(500)}
    with pytest.raises(MissingTensorError) as caught:
        check_weights({"t000": torch.zeros(1)}, names, "worker-0")
    assert "and 496 more" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_a_wrapper_s_prefix_is_explained(prefix: str) -> None:
    given = {prefix + name: value for name, value in weights_like_a_model().items()}
    with pytest.raises(WeightsError, match=re.escape(prefix + "state_dict")):
        check_weights(given, weights_like_a_model(), "worker-0")


def test_an_integer_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DtypeMismatchError, match="cannot hold"):
        check_weights({"n": torch.tensor(300)}, {"n": torch.tensor(1, dtype=torch.int8)}, "w")


def test_an_infinity_that_the_model_holds_on_purpose_is_accepted() -> None:
    """An attention mask of -inf is a buffer of the model."""
    mask = torch.tensor([0.0, -math.inf])
    assert check_weights({"m": mask.clone()}, {"m": mask}, "w")["m"].tolist() == [0.0, -math.inf]
    for bad in ([-math.inf, -math.inf], [0.0, math.inf], [0.0, NAN]):
        with pytest.raises(NonFiniteWeightsError, match="1 of 2"):
            check_weights({"m": torch.tensor(bad)}, {"m": mask}, "w")
    with pytest.raises(NonFiniteWeightsError):
        check_weights({"m": torch.tensor([NAN])}, {"m": torch.tensor([NAN])}, "w")

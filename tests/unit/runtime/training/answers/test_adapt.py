"""Conversions that lose nothing, each with its note; the rest is left for the check."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fedjob_runtime.training.answers.adapt import adapted, as_tensor

REFERENCE = {"body.weight": torch.zeros(2, 2), "body.count": torch.tensor(0)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.ones((2, 2), np.float32), torch.ones(2, 2)),
        (np.array(0.25), torch.tensor(0.25, dtype=torch.float64)),
        (np.float32(0.25), torch.tensor(0.25)),
        (np.int64(3), torch.tensor(3)),
        (3, torch.tensor(3)),
        (0.5, torch.tensor(0.5)),
        (True, torch.tensor(data=True)),
        (np.arange(3)[::-1], torch.tensor([2, 1, 0])),
        (np.arange(3, dtype=">i4"), torch.tensor([0, 1, 2], dtype=torch.int32)),
        (np.broadcast_to(np.float32(2), (2,)), torch.tensor([2.0, 2.0])),
    ],
)
def test_arrays_scalars_and_numbers_become_tensors(value: Any, expected: torch.Tensor) -> None:
    found = as_tensor(value)
    assert isinstance(found, torch.Tensor)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


@pytest.mark.parametrize("value", ["text", None, [1.0], np.array(["a"]), np.array([None]), 2**70])
def test_anything_else_is_left_for_the_check(value: Any) -> None:
    assert as_tensor(value) is value


@pytest.mark.parametrize(
    "name",
    [
        "module.body.weight",
        "_orig_mod.body.weight",
        "module._orig_mod.body.weight",
        "body._orig_mod.weight",
    ],
)
def test_wrappers_prefixes_are_taken_off_with_a_note(name: str) -> None:
    weights, notes = adapted({name: torch.ones(2, 2), "body.count": torch.tensor(1)}, REFERENCE)
    assert set(weights) == set(REFERENCE)
    assert [note.reason for note in notes] == ["WrapperPrefix"]
    assert name in notes[0].message


def test_a_prefix_of_the_model_itself_is_put_back() -> None:
    """A model that is compiled in its constructor has the prefix; the author's export has not."""
    reference = {"net._orig_mod.weight": torch.zeros(1)}
    weights, _ = adapted({"net.weight": torch.ones(1)}, reference)
    assert set(weights) == set(reference)


def test_names_that_could_be_two_or_none_stay() -> None:
    reference = {"module.a": torch.zeros(1), "a": torch.zeros(1)}
    assert adapted({"module.a": 1.0, "a": 2.0}, reference)[1] == []
    weights, notes = adapted({"_orig_mod.a": torch.ones(1)}, reference)
    assert (set(weights), notes) == ({"_orig_mod.a"}, [])
    assert set(adapted({"module.other": torch.ones(1)}, REFERENCE)[0]) == {"module.other"}


def test_a_tied_name_is_filled_from_its_twin() -> None:
    reference = {"in": torch.zeros(2), "out": torch.zeros(2)}
    weights, notes = adapted({"in": torch.ones(2)}, reference, [("in", "out")])
    assert torch.equal(torch.as_tensor(weights["out"]), torch.ones(2))
    assert [note.reason for note in notes] == ["TiedWeightFilled"]
    assert "out (from in)" in notes[0].message
    assert adapted({}, reference, [("in", "out")])[0] == {}


def test_whole_floats_are_taken_for_integers_with_a_note() -> None:
    weights, notes = adapted({"body.count": torch.tensor(7.0)}, REFERENCE)
    assert torch.equal(torch.as_tensor(weights["body.count"]), torch.tensor(7))
    assert [note.reason for note in notes] == ["DtypeConverted"]
    assert "body.count" in notes[0].message


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf"), 2.0**70])
def test_floats_that_are_not_whole_stay_floats(value: float) -> None:
    weights, notes = adapted({"body.count": torch.tensor(value)}, REFERENCE)
    assert torch.as_tensor(weights["body.count"]).is_floating_point()
    assert notes == []


def test_booleans_take_0_and_1_only() -> None:
    reference = {"mask": torch.tensor([True, False])}
    assert adapted({"mask": torch.tensor([1.0, 0.0])}, reference)[1]
    assert not adapted({"mask": torch.tensor([2.0, 0.0])}, reference)[1]

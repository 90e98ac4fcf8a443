"""NaN and infinities are found by one sum, and a sum that overflows accuses nobody."""

import pytest
import torch

from fedjob_runtime.training.finite import SMALL, all_finite, not_finite

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
FLOATS += [torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64, torch.complex128]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("size", [1, 1000, SMALL + 1])
def test_one_nan_is_found_in_every_dtype(dtype: torch.dtype, size: int) -> None:
    value = torch.ones(size).to(dtype)
    assert all_finite(value)
    value[size // 2] = torch.tensor(float("nan")).to(dtype)
    assert not all_finite(value)
    assert not_finite({"a": torch.ones(3).to(dtype), "b": value}) == ["b"]


@pytest.mark.parametrize("dtype", FLOATS[:4], ids=str)
def test_infinities_of_both_signs_do_not_cancel(dtype: torch.dtype) -> None:
    value = torch.tensor([float("inf"), 1.0, -float("inf")]).to(dtype)
    assert not all_finite(value)


@pytest.mark.parametrize("dtype", FLOATS[:4], ids=str)
def test_sum_of_finite_values_may_overflow(dtype: torch.dtype) -> None:
    value = torch.full((40_000,), torch.finfo(dtype).max, dtype=dtype)
    assert all_finite(value)
    small = {str(number): value[:10] for number in range(20)}
    assert not_finite({**small, "large": value}) == []


def test_names_are_those_of_the_tensors_at_fault_in_their_order() -> None:
    weights = {f"layer{number}": torch.ones(1000) for number in range(100)}
    for number in (97, 3, 50):
        weights[f"layer{number}"][number] = float("inf")
    weights["large"] = torch.full((SMALL + 1,), float("nan"))
    weights["half"] = torch.full((5,), float("nan"), dtype=torch.float16)
    assert not_finite(weights) == ["layer3", "layer50", "layer97", "large", "half"]


def test_integers_booleans_and_empty_tensors_are_finite() -> None:
    weights = {
        "steps": torch.tensor([2**62, 2**62]),
        "mask": torch.tensor([True]),
        "none": torch.empty(0),
        "scalar": torch.tensor(1.0),
    }
    assert not_finite(weights) == []
    assert all(all_finite(value) for value in weights.values())

"""The quick check of values agrees with the exact one."""

from __future__ import annotations

import pytest
import torch

from fedjob_runtime.training.tensors.finite import SMALL, is_finite, not_finite

NAN, INF = float("nan"), float("inf")
TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("place", [0, 511, 1023])
def test_one_bad_value_is_found_anywhere(dtype: torch.dtype, bad: float, place: int) -> None:
    value = torch.ones(1024, dtype=dtype)
    assert is_finite(value)
    value[place] = bad
    assert not is_finite(value)


def test_opposite_infinities_do_not_cancel() -> None:
    assert not is_finite(torch.tensor([INF, 1.0, -INF]))


@pytest.mark.parametrize("dtype", [*TYPES[:-1], torch.float8_e5m2])
def test_finite_values_whose_sum_overflows_are_finite(dtype: torch.dtype) -> None:
    value = torch.full((1024,), torch.finfo(dtype).max, dtype=torch.float64).to(dtype)
    assert is_finite(value)


def test_eight_bit_floats_integers_and_nothing() -> None:
    assert not is_finite(torch.tensor([1.0, NAN]).to(torch.float8_e4m3fn))
    assert is_finite(torch.tensor([2**63 - 1, 2**63 - 1]))
    assert is_finite(torch.tensor([True]))
    assert is_finite(torch.zeros(0))


def test_imaginary_part_counts() -> None:
    assert not is_finite(torch.tensor([complex(1, INF)]))


FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
FLOATS += [torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64, torch.complex128]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("size", [1, 1000, SMALL + 1])
def test_one_nan_is_found_in_every_dtype(dtype: torch.dtype, size: int) -> None:
    value = torch.ones(size).to(dtype)
    assert is_finite(value)
    value[size // 2] = torch.tensor(float("nan")).to(dtype)
    assert not is_finite(value)
    assert not_finite({"a": torch.ones(3).to(dtype), "b": value}) == ["b"]


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
    assert all(is_finite(value) for value in weights.values())


@pytest.mark.parametrize("dtype", TYPES[:-1], ids=str)
def test_common_sum_that_overflows_accuses_nobody(dtype: torch.dtype) -> None:
    value = torch.full((40_000,), torch.finfo(dtype).max, dtype=dtype)
    small = {str(number): value[:10] for number in range(20)}
    assert not_finite({**small, "large": value}) == []

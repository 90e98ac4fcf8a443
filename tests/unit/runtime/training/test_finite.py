"""The quick check of values agrees with the exact one."""

from __future__ import annotations

import pytest
import torch

from fedjob_runtime.training.finite import is_finite

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

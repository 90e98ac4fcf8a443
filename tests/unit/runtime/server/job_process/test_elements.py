"""Tensors as flat pieces of real numbers."""

from __future__ import annotations

import pytest
import torch

from fedjob_runtime.server.job_process.elements import (
    CHUNK,
    as_working,
    chunks,
    is_optimised,
    restored,
)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.complex64,
        torch.complex128,
    ],
)
def test_a_tensor_comes_back_as_it_was(dtype: torch.dtype) -> None:
    value = torch.arange(12).reshape(3, 4).to(dtype)
    working = as_working(value)
    assert working.dtype is (
        torch.float64 if value.itemsize // (1 + value.is_complex()) == 8 else torch.float32
    )
    assert restored(working, value).equal(value)
    assert is_optimised(value)


def test_counters_are_not_optimised() -> None:
    assert not is_optimised(torch.tensor(3))
    assert not is_optimised(torch.tensor(True))


def test_pieces_cover_all_elements_and_can_be_written() -> None:
    target, source = torch.zeros(CHUNK + 3), torch.ones(CHUNK + 3)
    for piece, other in chunks(target, source):
        piece += other
    assert target.equal(source)

"""Tensors as flat pieces of real numbers in the precision that the server calculates in."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

CHUNK = 1 << 15
"""Elements at once: temporaries stay in the cache and do not grow with the tensor. torch works on
so few with one thread; on a busy node its threads cost more than they bring (measured)."""


def is_optimised(value: Tensor) -> bool:
    """Whether a strategy may calculate with a tensor: floating-point and complex ones.

    Integers and booleans (such as BatchNorm's num_batches_tracked) count things; they are averaged.
    """
    return value.is_floating_point() or value.is_complex()


def working_dtype(value: Tensor) -> torch.dtype:
    """float64 for float64 and complex128, else float32: small types would lose small steps."""
    return torch.float64 if value.dtype in (torch.float64, torch.complex128) else torch.float32


def real_parts(value: Tensor) -> Tensor:
    """A floating-point tensor as it is; a complex one as pairs of real numbers."""
    return torch.view_as_real(value.resolve_conj()) if value.is_complex() else value


def as_working(value: Tensor) -> Tensor:
    """A contiguous copy of its real parts, in the working dtype."""
    return real_parts(value.detach()).to(working_dtype(value), copy=True).contiguous()


def restored(value: Tensor, like: Tensor) -> Tensor:
    """The tensor of real parts in the dtype and shape of `like`."""
    if like.is_complex():
        value = torch.view_as_complex(value)
    return value.to(like.dtype).reshape(like.shape)


def chunks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Flat pieces of tensors with the same number of elements, to be read or written in place."""
    flat = [tensor.reshape(-1) for tensor in tensors]
    for start in range(0, flat[0].numel(), CHUNK):
        yield tuple(tensor[start : start + CHUNK] for tensor in flat)

"""Differences: an answer that holds `trained - global` in place of the trained weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fedjob_runtime.training.extra_state import is_extra_state
from fedjob_runtime.training.tensors.finite import is_finite

SMALL = 0.2
"""The answer's norm over the global model's, at most. Measured on handwritten digits (linear, MLP
with and without BatchNorm, CNN; Adam, SGD, weight decay 0.05; 1 and 5 epochs; from a new and a
trained model): trained weights have 0.47 to 4.9, differences of everyday learning rates 0.03 to
0.3."""
ALIKE = 0.8
"""Cosine with the global model, below: weights that only shrink, by decay, keep their direction."""
MIN_ELEMENTS = 16


def added(difference: Mapping[str, object], reference: Mapping[str, Tensor]) -> dict[str, object]:
    """The weights that a difference leads to.

    Args:
        difference: Tensors by the names of the global model; others are left for the check.
        reference: The global model.

    Returns:
        `reference + difference`, computed in the wider of both dtypes.
    """
    result: dict[str, object] = dict(difference)
    for name, value in difference.items():
        start = reference.get(name)
        if start is None or not isinstance(value, Tensor) or is_extra_state(name):
            continue
        if value.shape == start.shape and not value.is_meta:
            if start.dtype is torch.bool:
                result[name] = start.logical_xor(value.cpu() != 0)
            else:
                result[name] = start + value.detach().cpu()
    return result


def looks_like_difference(
    weights: Mapping[str, Tensor], reference: Mapping[str, Tensor], model: nn.Module | None = None
) -> bool:
    """Whether weights are a difference to the global model, without the author saying so.

    Where the function trained the model that it was given, that model decides: it is the answer, or
    it is the global model plus the answer. Else the answer as a whole is very small beside the
    global model; trained weights are not, also where they were trained from another start.

    Args:
        weights: As returned, checked.
        reference: The global model.
        model: The model that the function was given; None where it made its own.
    """
    pairs = [
        (name, reference[name].detach(), value.detach())
        for name, value in weights.items()
        if name in reference and reference[name].is_floating_point() and not is_extra_state(name)
    ]
    if model is not None:
        state = model.state_dict()
        trained = [(_dense(state.get(name)), start, value) for name, start, value in pairs]
        if all(now is not None and _same(now, value) for now, _, value in trained):
            return False
        if all(now is not None and _same(now, start + value) for now, start, value in trained):
            return bool(pairs)
    product = mine = theirs = 0.0
    count = 0
    for _, start, value in pairs:
        first, second = start.flatten().double(), value.flatten().double()
        if not (is_finite(first) and is_finite(second)):
            finite = torch.isfinite(first) & torch.isfinite(second)
            first, second = first[finite], second[finite]
        product += float(first @ second)
        theirs += float(first @ first)
        mine += float(second @ second)
        count += first.numel()
    if mine == 0 or theirs == 0 or count < MIN_ELEMENTS:
        return False
    cosine = product / math.sqrt(mine * theirs)
    return math.sqrt(mine / theirs) <= SMALL and abs(cosine) < ALIKE


def _dense(value: object) -> Tensor | None:
    if not isinstance(value, Tensor) or value.layout is not torch.strided:
        return None
    return value.detach().cpu()


def _same(now: Tensor, value: Tensor) -> bool:
    """Equal but for what rounding in the answer's dtype and in the sum leaves."""
    return now.shape == value.shape and torch.allclose(
        now.double(), value.double(), rtol=1e-3, atol=1e-6, equal_nan=True
    )

"""FedAvg as one accumulator: results are folded in as they arrive and then freed.

Memory does not grow with the number of workers. Source: McMahan et al. 2017, algorithm 1: the
global model is the mean of the workers' models weighted by their numbers of samples.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor

from fedjob_runtime.server.job_process.elements import CHUNK, chunks, real_parts
from fedjob_runtime.training.tensors.finite import is_finite, not_finite

MAX_WEIGHT = 2**47 - 1
"""Samples that one mean can hold: with 16-bit digits, integer sums then fit into int64."""

_DIGIT_BITS = 16
_INT64_MIN = -(2**63)


class WeightedMean:
    """The sample-weighted mean of state dicts with the names, shapes and dtypes of `reference`.

    The mean of equal values is that value, in every dtype, and a mean of finite values is finite:
    finfo.min and finfo.max do not overflow.

    - Floating tensors keep a running mean in float32, or in float64 where the reference is float64,
      so that bfloat16 and float16 models do not lose the small workers' parts. The order of the
      workers changes the result by a few units in the last place (of float32 or float64) for each
      worker. complex64 is averaged as pairs of float32.
    - Integer and boolean tensors (such as BatchNorm's num_batches_tracked) are averaged in exact
      arithmetic and rounded once to the nearest integer, ties to even; the order does not matter.
      They take 8 bytes for each 16 bits of an element.
    """

    def __init__(self, reference: dict[str, Tensor]) -> None:
        self._means = {name: _mean_of(tensor.dtype) for name, tensor in reference.items()}
        self._weight = 0

    @property
    def weight(self) -> int:
        """Samples folded in so far."""
        return self._weight

    def add(self, weights: dict[str, Tensor], samples: int) -> None:
        """Folds one worker's state dict in; its tensors are read, never changed.

        Args:
            weights: As the reference: the same names and shapes (checked by the caller).
            samples: Its weight, above 0.

        Raises:
            ValueError: The weights of all workers exceed MAX_WEIGHT.
        """
        self._weight += samples
        if self._weight > MAX_WEIGHT:
            raise ValueError(f"{self._weight} samples are more than {MAX_WEIGHT}")
        small: list[tuple[_FloatingMean, Tensor]] = []
        for name, mean in self._means.items():
            value = weights[name].detach()
            if isinstance(mean, _FloatingMean) and mean.is_small:
                small.append((mean, value))
            else:
                mean.add(value, samples, self._weight)
        _move_together(small, samples / self._weight)

    def split(self, names: Collection[str]) -> WeightedMean:
        """Takes these tensors out, as a mean of their own with the same weight so far."""
        other = WeightedMean({})
        other._means = {name: self._means.pop(name) for name in names}
        other._weight = self._weight
        return other

    def result(self) -> dict[str, Tensor]:
        """The mean in the reference's dtypes; the accumulator is used up."""
        means, self._means = self._means, {}
        result: dict[str, Tensor] = {}
        for name in list(means):
            # One by one, so that accumulator and result of the whole model do not coexist.
            result[name] = means.pop(name).result(self._weight)
        return result


class _TensorMean(Protocol):
    """The mean of one tensor."""

    def add(self, value: Tensor, samples: int, total: int) -> None:
        """Folds a value in; `total` is the weight with this one."""

    def result(self, total: int) -> Tensor:
        """The mean."""


class _FloatingMean:
    """mean += (value - mean) * samples / total: exact for equal values, and never overflows."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        wide = dtype in (torch.float64, torch.complex128)
        self._working = torch.float64 if wide else torch.float32
        self._mean: Tensor | None = None

    @property
    def current(self) -> Tensor:
        """The mean so far, in real parts; the first value was folded in."""
        if self._mean is None:
            raise ValueError("no worker's weights were folded in")
        return self._mean

    @current.setter
    def current(self, mean: Tensor) -> None:
        self._mean = mean

    @property
    def is_small(self) -> bool:
        """Whether `_move_together` takes it: one piece, once a first value is there."""
        return self._mean is not None and self._mean.numel() <= CHUNK

    def add(self, value: Tensor, samples: int, total: int) -> None:
        parts = real_parts(value)
        if self._mean is None:
            self._mean = parts.to(self._working, copy=True).contiguous()
            return
        for mean, chunk in chunks(self._mean, parts):
            _move(mean, chunk.to(self._working), samples / total)

    def result(self, total: int) -> Tensor:
        mean = self.current
        return (torch.view_as_complex(mean) if self._dtype.is_complex else mean).to(self._dtype)


def _move(mean: Tensor, value: Tensor, part: float) -> None:
    """Moves `mean` towards `value` by `part` of the way, in place."""
    moved = torch.add(mean, value - mean, alpha=part)
    if not is_finite(moved):
        moved = _move_at_the_limits(mean, value, part)
    mean.copy_(moved)


def _move_together(small: list[tuple[_FloatingMean, Tensor]], part: float) -> None:
    """`_move` for many small tensors in a few calls of torch; bit for bit the same."""
    by_dtype: dict[torch.dtype, list[tuple[_FloatingMean, Tensor, Tensor]]] = {}
    for mean, value in small:
        before = mean.current
        parts = real_parts(value)
        now = parts if parts.dtype is before.dtype else parts.to(before.dtype)
        by_dtype.setdefault(before.dtype, []).append((mean, before, now))
    for group in by_dtype.values():
        means, befores, values = (list(column) for column in zip(*group, strict=True))
        # Each tensor stays a tensor of its own: packed into one, its last elements could be
        # calculated by other instructions, which may round differently.
        moved = list(torch._foreach_add(befores, torch._foreach_sub(values, befores), alpha=part))
        bad = {int(place) for place in not_finite({str(i): t for i, t in enumerate(moved)})}
        for place in bad:
            moved[place] = _move_at_the_limits(befores[place], values[place], part)
        for mean, now in zip(means, moved, strict=True):
            mean.current = now


def _move_at_the_limits(mean: Tensor, value: Tensor, part: float) -> Tensor:
    """The same where an element is infinite, or the difference of two elements overflows."""
    difference = value - mean
    moved = torch.where(
        torch.isfinite(difference),
        torch.add(mean, difference, alpha=part),
        mean * (1 - part) + value * part,
    )
    # Rounding must not lead past either: beyond finfo.max there is only infinity.
    moved = moved.clamp(torch.minimum(mean, value), torch.maximum(mean, value))
    # Equal infinities have no difference.
    return torch.where(mean == value, mean, moved)


class _IntegerMean:
    """Exact: the sum in digits of 16 bits, each in an int64, and one long division at the end."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        digits = 1 if dtype is torch.bool else -(-dtype.itemsize * 8 // _DIGIT_BITS)
        self._digits = digits
        self._shape: torch.Size = torch.Size()
        self._sums: list[Tensor] = []

    def add(self, value: Tensor, samples: int, total: int) -> None:
        if not self._sums:
            self._shape = value.shape
            count = value.numel()
            self._sums = [torch.zeros(count, dtype=torch.int64) for _ in range(self._digits)]
        for *sums, chunk in chunks(*self._sums, value):
            rest = self._unsigned(chunk)
            for place, digit_sum in enumerate(sums):
                digit = (rest >> (_DIGIT_BITS * place)) & 0xFFFF
                digit_sum.add_(digit, alpha=samples)

    def result(self, total: int) -> Tensor:
        if not self._sums:
            raise ValueError("no worker's weights were folded in")
        mean = torch.empty(self._sums[0].numel(), dtype=torch.int64)
        for target, *sums in chunks(mean, *self._sums):
            target.copy_(_divide(sums, total))
        self._sums = []
        return self._restored(mean).reshape(self._shape)

    def _unsigned(self, value: Tensor) -> Tensor:
        """As int64 bits of value - minimum: an order-keeping map onto unsigned numbers."""
        if self._dtype is torch.uint64:
            return value.view(torch.int64)
        if self._digits == 4:
            return value ^ _INT64_MIN
        offset = 0 if self._dtype is torch.bool else torch.iinfo(self._dtype).min
        return value.to(torch.int64) - offset

    def _restored(self, bits: Tensor) -> Tensor:
        if self._dtype is torch.uint64:
            return bits.view(torch.uint64)
        if self._digits == 4:
            return bits ^ _INT64_MIN
        offset = 0 if self._dtype is torch.bool else torch.iinfo(self._dtype).min
        return (bits + offset).to(self._dtype)


def _divide(sums: list[Tensor], total: int) -> Tensor:
    """The digits' number divided by `total`, rounded to the nearest, ties to even; int64 bits.

    Args:
        sums: Digits of 16 bits, lowest first; each may exceed 16 bits, up to total * 0xFFFF.
        total: Above 0, at most MAX_WEIGHT.
    """
    digits, carry = [], torch.zeros_like(sums[0])
    for digit_sum in sums:
        carried = digit_sum + carry
        digits.append(carried & 0xFFFF)
        carry = carried >> _DIGIT_BITS
    quotient, rest = torch.zeros_like(carry), carry
    for digit in reversed(digits):
        # rest < total <= 2^47, so that this fits into 63 bits.
        number = (rest << _DIGIT_BITS) | digit
        quotient = (quotient << _DIGIT_BITS) | (number // total)
        rest = number % total
    up = (2 * rest > total) | ((2 * rest == total) & (quotient & 1 == 1))
    return quotient + up.to(torch.int64)


def _mean_of(dtype: torch.dtype) -> _TensorMean:
    if dtype.is_floating_point or dtype.is_complex:
        return _FloatingMean(dtype)
    return _IntegerMean(dtype)


def weighted_metrics(parts: list[tuple[int, dict[str, float]]]) -> dict[str, float]:
    """Sample-weighted means of finite metrics; a metric counts only the workers that gave it."""
    values: dict[str, list[tuple[int, float]]] = {}
    for samples, metrics in parts:
        for name, value in metrics.items():
            values.setdefault(name, []).append((samples, value))
    return {name: _weighted_mean(pairs) for name, pairs in values.items()}


def _weighted_mean(pairs: list[tuple[int, float]]) -> float:
    weight = sum(samples for samples, _ in pairs)
    total = sum(value * samples for samples, value in pairs)
    if math.isfinite(total):
        return total / weight
    # The sum overflowed, the mean cannot: exact fractions, slower.
    exact = sum(Fraction(value) * samples for samples, value in pairs) / weight
    return float(exact)

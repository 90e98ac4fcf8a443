"""FedAvg as one accumulator: results are folded in as they arrive and then freed.

Memory does not grow with the number of workers. Source: McMahan et al. 2017, algorithm 1: the
global model is the mean of the workers' models weighted by their numbers of samples.
"""

from __future__ import annotations

import torch
from torch import Tensor


class WeightedMean:
    """The sample-weighted mean of state dicts with the names, shapes and dtypes of `reference`.

    Floating tensors accumulate in float32, or in float64 where the reference is float64, so that
    bfloat16 and float16 models do not lose the small workers' parts. Integer and boolean tensors
    (such as BatchNorm's num_batches_tracked) accumulate in float64 and are rounded to the nearest,
    ties to even; complex tensors in complex128.
    """

    def __init__(self, reference: dict[str, Tensor]) -> None:
        self._dtypes = {name: tensor.dtype for name, tensor in reference.items()}
        self._sums: dict[str, Tensor] = {}
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
        """
        for name, dtype in self._dtypes.items():
            value = weights[name].detach()
            total = self._sums.get(name)
            if total is None:
                self._sums[name] = value.to(_accumulator(dtype)) * samples
            else:
                total.add_(value.to(total.dtype), alpha=samples)
        self._weight += samples

    def result(self) -> dict[str, Tensor]:
        """The mean in the reference's dtypes; the accumulator is used up."""
        mean: dict[str, Tensor] = {}
        for name, dtype in self._dtypes.items():
            total = self._sums.pop(name).div_(self._weight)
            if not (dtype.is_floating_point or dtype.is_complex):
                total = total.round_()
            mean[name] = total.to(dtype)
        return mean


def _accumulator(dtype: torch.dtype) -> torch.dtype:
    if dtype.is_complex:
        return torch.complex128
    if dtype.is_floating_point and dtype is not torch.float64:
        return torch.float32
    return torch.float64


def weighted_metrics(parts: list[tuple[int, dict[str, float]]]) -> dict[str, float]:
    """Sample-weighted means of metrics; a metric counts only the workers that gave it."""
    sums: dict[str, tuple[float, int]] = {}
    for samples, metrics in parts:
        for name, value in metrics.items():
            total, weight = sums.get(name, (0.0, 0))
            sums[name] = (total + value * samples, weight + samples)
    return {name: total / weight for name, (total, weight) in sums.items()}

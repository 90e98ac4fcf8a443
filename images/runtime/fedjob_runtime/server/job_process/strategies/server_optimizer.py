"""The server's step from the global model towards the workers' mean, with state between rounds.

Source: Reddi et al. 2021, "Adaptive Federated Optimization", algorithm 2: the mean of the workers'
differences is a pseudo-gradient, on which the server runs an optimizer of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import torch
from torch import Tensor

from fedjob_runtime.server.job_process.elements import (
    as_working,
    chunks,
    is_optimised,
    real_parts,
    restored,
    working_dtype,
)
from fedjob_runtime.server.job_process.model_mean import ModelMean
from fedjob_runtime.training.extra_state import is_extra_state

Weights = dict[str, Tensor]


class Rule(Protocol):
    """One optimizer's arithmetic, on flat float32 or float64 pieces."""

    @property
    def slots(self) -> dict[str, float]:
        """Name and initial value of each number that it keeps for each element."""

    def step(self, difference: Tensor, slots: dict[str, Tensor]) -> Tensor:
        """What is added to the global model; changes the slots in place.

        Args:
            difference: The workers' mean minus the global model, [n].
            slots: [n] each.
        """


class OptimizedMean:
    """FedAvg's mean, then the server optimizer's step. Streams: memory is that of the mean.

    Args:
        rule: The optimizer.
        reference: The global model. Empty where the first answers make it: these are averaged.
        state: Its slots after the last round, as `state` gave them; empty at the start.
        parameters: The tensors that are trained; others (BatchNorm's running statistics) are
            averaged, since a step could make a variance negative. None: all floating-point ones.
    """

    def __init__(
        self,
        rule: Rule,
        reference: Weights,
        state: Weights,
        parameters: Collection[str] | None = None,
    ) -> None:
        self._rule = rule
        self._reference = reference
        self._old = state
        self._parameters = parameters
        self._mean = ModelMean(reference)
        self._state: Weights = {}

    def add(self, weights: Weights, samples: int, worker: str) -> None:
        """Folds one worker's weights in."""
        # The mean in the model's own small type would round the differences away.
        wide = {
            name: value.to(working_dtype(value))
            for name, value in weights.items()
            if value.is_floating_point() and self._is_trained(name, value)
        }
        self._mean.add({**weights, **wide}, samples, worker)

    def result(self) -> Weights:
        """The next global model; nothing of this round is kept but the state."""
        weights = self._mean.result()
        for name, start in self._reference.items():
            if self._is_trained(name, start):
                weights[name] = self._stepped(name, start, weights[name])
        return weights

    def state(self) -> Weights:
        """The slots after `result`, as `<slot>.<tensor>`: float32, or float64 where the model is.

        Complex tensors have pairs of real numbers, [..., 2].
        """
        return self._state

    def _is_trained(self, name: str, value: Tensor) -> bool:
        if is_extra_state(name):
            return False
        return is_optimised(value) and (self._parameters is None or name in self._parameters)

    def _stepped(self, name: str, start: Tensor, mean: Tensor) -> Tensor:
        value, target = as_working(start), real_parts(mean)
        slots = {slot: self._slot(slot, name, value) for slot in self._rule.slots}
        for piece, wanted, *kept in chunks(value, target, *slots.values()):
            difference = wanted.to(piece.dtype) - piece
            # An element that is infinite in both, such as a mask, has no difference.
            difference = torch.where(wanted == piece, torch.zeros_like(piece), difference)
            piece += self._rule.step(difference, dict(zip(slots, kept, strict=True)))
        self._state |= {f"{slot}.{name}": kept for slot, kept in slots.items()}
        return restored(value, start)

    def _slot(self, slot: str, name: str, like: Tensor) -> Tensor:
        kept = self._old.get(f"{slot}.{name}")
        if kept is None or kept.shape != like.shape:
            return torch.full_like(like, self._rule.slots[slot])
        return kept.to(like.dtype, copy=True).contiguous()

"""The mean over answers that may hold a part of the model, and over the extra state of modules."""

from __future__ import annotations

import torch
from torch import Tensor

from fedjob_runtime.server.job_process.fedavg import WeightedMean
from fedjob_runtime.training.extra_state import is_extra_state


def worker_order(worker: str) -> tuple[int, str]:
    """Sorts workers by number: by length first, so that worker-10 is after worker-9."""
    return len(worker), worker


class ModelMean:
    """FedAvg tensor by tensor: each is the mean over the workers that sent it.

    A tensor that nobody sent stays as it is in the global model, so the next one is always
    complete.

    Args:
        reference: The global model; empty where the first answers make it.
    """

    def __init__(self, reference: dict[str, Tensor]) -> None:
        self._reference = reference
        self._groups: list[tuple[set[str], WeightedMean]] = []
        """Tensors that the same workers sent: one group but where answers are partial."""
        self._order: dict[str, None] = {}
        self._extra = ExtraStateMean()

    def add(self, weights: dict[str, Tensor], samples: int, worker: str = "") -> None:
        """Folds one worker's tensors in.

        Args:
            weights: Names of the reference, all or some; shapes as there (checked by the caller).
            samples: Their weight, above 0.
            worker: Its name.
        """
        sent = {name: value for name, value in weights.items() if not is_extra_state(name)}
        for names, mean in list(self._groups):
            missing = names - sent.keys()
            if len(missing) == len(names):
                continue
            if missing:
                names -= missing
                self._groups.append((missing, mean.split(missing)))
            mean.add(sent, samples)
        new = {name: value for name, value in sent.items() if name not in self._order}
        if new:
            mean = WeightedMean(new)
            mean.add(new, samples)
            self._groups.append((set(new), mean))
            self._order |= dict.fromkeys(new)
        self._extra.add(weights, samples, worker)

    def result(self) -> dict[str, Tensor]:
        """The next global model; nothing of this round is kept."""
        averaged: dict[str, Tensor] = {}
        while self._groups:
            averaged |= self._groups.pop()[1].result()
        names = dict.fromkeys([*self._reference, *self._order])
        result = {
            name: averaged[name] if name in averaged else self._reference[name]
            for name in names
            if not is_extra_state(name)
        }
        return result | self._extra.result(self._reference)

    def state(self) -> dict[str, Tensor]:
        """Nothing is kept between rounds."""
        return {}


class ExtraStateMean:
    """Extra state of modules (`training.extra_state`) over a round's answers.

    Tensors are averaged over the workers whose tensor has the same name, shape and dtype. All else,
    and bytes (uint8), are the first worker's: the one with the lowest number that sent any.
    """

    def __init__(self) -> None:
        self._first: dict[str, Tensor] = {}
        self._worker: tuple[int, str] | None = None
        self._means: dict[tuple[str, torch.Size, torch.dtype], WeightedMean] = {}

    def add(self, weights: dict[str, Tensor], samples: int, worker: str) -> None:
        """Folds in the extra state among one worker's weights, if there is any."""
        extra = {name: value for name, value in weights.items() if is_extra_state(name)}
        order = worker_order(worker)
        if extra and (self._worker is None or order < self._worker):
            self._first, self._worker = extra, order
        for name, value in extra.items():
            if value.dtype is not torch.uint8:
                key = (name, value.shape, value.dtype)
                if key not in self._means:
                    self._means[key] = WeightedMean({name: value})
                self._means[key].add({name: value}, samples)

    def result(self, reference: dict[str, Tensor]) -> dict[str, Tensor]:
        """The extra state of the next global model; the reference's where no worker sent any."""
        if not self._first:
            return {name: value for name, value in reference.items() if is_extra_state(name)}
        result: dict[str, Tensor] = {}
        for name, value in self._first.items():
            mean = self._means.pop((name, value.shape, value.dtype), None)
            result[name] = mean.result()[name] if mean else value
        return result

"""Strategies that a few bad answers cannot pull away: they compare all answers of a round.

They count every worker once, whatever its number of samples, since a bad one could claim any. All
answers are kept until the round ends: memory grows with the number of workers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from fedjob_runtime.server.job_process.elements import (
    chunks,
    is_optimised,
    real_parts,
    restored,
    working_dtype,
)
from fedjob_runtime.server.job_process.fedavg import WeightedMean
from fedjob_runtime.server.job_process.model_mean import ModelMean, worker_order
from fedjob_runtime.training.extra_state import is_extra_state

Weights = dict[str, Tensor]


class KeptAnswers(ABC):
    """Keeps a round's answers, in the order of the workers' numbers.

    Args:
        reference: The global model; empty where the first answers make it.
    """

    def __init__(self, reference: Weights) -> None:
        self._reference = reference
        self._answers: dict[str, Weights] = {}

    def add(self, weights: Weights, samples: int, worker: str) -> None:
        """Keeps one worker's answer; `samples` does not count."""
        self._answers[worker] = weights

    def result(self) -> Weights:
        """The next global model; the answers are dropped."""
        # Not by arrival: the same answers give the same model.
        names = sorted(self._answers, key=worker_order)
        answers = [self._answers[name] for name in names]
        self._answers = {}
        return self.combined(answers, names)

    def state(self) -> Weights:
        """Nothing is kept between rounds."""
        return {}

    @abstractmethod
    def combined(self, answers: list[Weights], workers: list[str]) -> Weights:
        """The next global model from all answers, which may hold parts of it."""

    def mean_of(self, answers: list[Weights], workers: list[str]) -> Weights:
        """The mean in which each answer counts once."""
        mean = ModelMean(self._reference)
        for weights, worker in zip(answers, workers, strict=True):
            mean.add(weights, 1, worker)
        return mean.result()


class ElementWise(KeptAnswers):
    """For each element: its values in all answers are sorted, and the middle ones averaged.

    Integers, booleans and the extra state of modules are averaged.
    """

    def combined(self, answers: list[Weights], workers: list[str]) -> Weights:
        """The next global model."""
        values: dict[str, list[Tensor]] = {}
        for weights in answers:
            for name, value in weights.items():
                if is_optimised(value) and not is_extra_state(name):
                    values.setdefault(name, []).append(value)
        sorted_out = {name for name, found in values.items() if len(found) > 2}
        others = [{n: v for n, v in w.items() if n not in sorted_out} for w in answers]
        middles = {name: self._middle(values[name]) for name in sorted_out}
        averaged = self.mean_of(others, workers)
        names = dict.fromkeys([*averaged, *(n for n in values if n in sorted_out)])
        return {name: middles.get(name, averaged.get(name)) for name in names}  # type: ignore[misc]

    @abstractmethod
    def cut(self, count: int) -> int:
        """How many of `count` sorted values are left out at each end."""

    def _middle(self, values: list[Tensor]) -> Tensor:
        like, cut = values[0], self.cut(len(values))
        parts = [real_parts(value.detach()) for value in values]
        target = torch.empty(parts[0].shape, dtype=working_dtype(like))
        for piece, *rows in chunks(target, *parts):
            ordered = torch.stack([row.to(piece.dtype) for row in rows]).sort(dim=0).values
            kept = WeightedMean({"": piece})
            for row in ordered[cut : len(values) - cut]:
                kept.add({"": row}, 1)
            piece.copy_(kept.result()[""])
        return restored(target, like)


class TrimmedMean(ElementWise):
    """The mean without the largest and smallest values. Source: Yin et al. 2018, definition 2.

    Args:
        reference: The global model.
        fraction: Left out at each end; at least 0 and below 0.5.
    """

    def __init__(self, reference: Weights, fraction: float = 0.1) -> None:
        super().__init__(reference)
        self._fraction = fraction

    def cut(self, count: int) -> int:
        """The whole number of values in the fraction."""
        # 0.1 of 10 is one, though 0.1 x 10 may be 0.9999...
        return int(self._fraction * count + 1e-9)


class Median(ElementWise):
    """The median; of an even number, the mean of the middle two. Source: Yin et al. 2018."""

    def cut(self, count: int) -> int:
        """All but the middle one or two."""
        return (count - 1) // 2


class Krum(KeptAnswers):
    """The answers that are closest to their neighbours. Source: Blanchard et al. 2017, section 4.

    An answer's score is the sum of its squared distances to the n - f - 2 nearest others. One that
    is kept: Krum; several: Multi-Krum, their mean.

    Args:
        reference: The global model. What an answer does not hold counts as there.
        byzantine: f, the bad answers to withstand; n must be at least 2 f + 3.
        keep: How many answers are averaged, at most n - f.
    """

    def __init__(self, reference: Weights, byzantine: int = 1, keep: int = 1) -> None:
        super().__init__(reference)
        self._byzantine = byzantine
        self._keep = keep

    def combined(self, answers: list[Weights], workers: list[str]) -> Weights:
        """The next global model."""
        scores = self.scores(answers)
        # Of equal scores the worker with the lowest number.
        best = sorted(range(len(answers)), key=lambda index: (scores[index], index))
        chosen = sorted(best[: max(1, min(self._keep, len(answers) - self._byzantine))])
        return self.mean_of([answers[i] for i in chosen], [workers[i] for i in chosen])

    def scores(self, answers: list[Weights]) -> list[float]:
        """The score of each answer; lower is better."""
        count = len(answers)
        neighbours = max(1, count - self._byzantine - 2)
        distances = torch.zeros(count, count, dtype=torch.float64)
        for name in self._compared(answers):
            values = [weights.get(name, self._reference.get(name)) for weights in answers]
            rows = [real_parts(value.detach()) for value in values if value is not None]
            for pieces in chunks(*rows):
                stacked = torch.stack([piece.to(torch.float64) for piece in pieces])
                for index in range(count):
                    distances[index] += (stacked - stacked[index]).nan_to_num().square().sum(dim=1)
        nearest = distances.sort(dim=1).values[:, 1 : neighbours + 1]
        return [float(score) for score in nearest.sum(dim=1)]

    def _compared(self, answers: list[Weights]) -> list[str]:
        """Floating-point tensors that every answer has, or the global model in its place."""
        names = dict.fromkeys(name for weights in answers for name in weights)
        return [
            name
            for name in names
            if not is_extra_state(name)
            and all(name in weights or name in self._reference for weights in answers)
            and is_optimised(next(weights[name] for weights in answers if name in weights))
        ]

"""FedAdam, FedYogi and FedAdagrad: each element has a step size of its own.

Source: Reddi et al. 2021, "Adaptive Federated Optimization", algorithm 2. As there, the second
moment starts at tau squared, and moments are not corrected for their start.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Adaptive:
    """What the three share; they differ in how the second moment follows the differences.

    Attributes:
        learning_rate: The server's, eta.
        beta1: Decay of the first moment, at least 0 and below 1.
        beta2: Decay of the second moment; FedAdagrad has none.
        tau: Degree of adaptivity, above 0: the larger, the more equal the steps.
    """

    learning_rate: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3

    @property
    def slots(self) -> dict[str, float]:
        """The two moments."""
        return {"first": 0.0, "second": self.tau**2}

    def step(self, difference: Tensor, slots: dict[str, Tensor]) -> Tensor:
        """The step for one piece."""
        first, second = slots["first"], slots["second"]
        first.mul_(self.beta1).add_(difference, alpha=1 - self.beta1)
        self._follow(second, difference.square())
        return first / (second.sqrt() + self.tau) * self.learning_rate

    def _follow(self, second: Tensor, square: Tensor) -> None:
        raise NotImplementedError


class Adam(Adaptive):
    """The second moment is a running mean of the squares."""

    __slots__ = ()

    def _follow(self, second: Tensor, square: Tensor) -> None:
        second.mul_(self.beta2).add_(square, alpha=1 - self.beta2)


class Yogi(Adaptive):
    """The second moment moves towards the squares by bounded steps, so that it forgets slowly."""

    __slots__ = ()

    def _follow(self, second: Tensor, square: Tensor) -> None:
        second.sub_(square * torch.sign(second - square), alpha=1 - self.beta2)


class Adagrad(Adaptive):
    """The second moment is the sum of the squares."""

    __slots__ = ()

    def _follow(self, second: Tensor, square: Tensor) -> None:
        second.add_(square)

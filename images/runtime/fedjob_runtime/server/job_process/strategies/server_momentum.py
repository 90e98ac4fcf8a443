"""FedAvgM: the server keeps a momentum. Source: Hsu, Qi, Brown 2019, section 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor


@dataclass(frozen=True, slots=True)
class ServerMomentum:
    """velocity = momentum x velocity + difference; the model moves by learning_rate x velocity.

    Attributes:
        learning_rate: 1 with momentum 0 is FedAvg.
        momentum: At least 0 and below 1.
    """

    learning_rate: float = 1.0
    momentum: float = 0.9
    slots: ClassVar[dict[str, float]] = {"velocity": 0.0}

    def step(self, difference: Tensor, slots: dict[str, Tensor]) -> Tensor:
        """The step for one piece."""
        velocity = slots["velocity"]
        velocity.mul_(self.momentum).add_(difference)
        return velocity * self.learning_rate

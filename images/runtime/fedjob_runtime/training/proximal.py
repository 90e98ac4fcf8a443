"""FedProx's term: keeps a worker's model near the global one. Source: Li et al. 2020, section 3.2.

In a training function of form A or B:

    term = ProximalTerm(model, env["PROXIMAL_MU"])     # before the first step
    loss = criterion(model(inputs), targets) + term()
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ProximalTerm:
    """mu / 2 x the squared distance of the trained parameters from where they were made.

    Args:
        model: Has the global weights; only parameters that are trained count.
        mu: At least 0; 0 gives a term of 0.
    """

    def __init__(self, model: nn.Module, mu: float) -> None:
        self._mu = mu
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._pairs = [(parameter, parameter.detach().clone()) for parameter in trained if mu]

    def __call__(self) -> Tensor:
        """The term, a scalar to add to the loss."""
        total = torch.zeros(())
        for parameter, start in self._pairs:
            total = total.to(parameter.device) + (parameter - start).abs().square().sum()
        return total * (self._mu / 2)

"""What form C minimises and what is measured on a shard: classes or numbers, by its manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from fedjob_runtime.training.classification import (
    Tally,
    multi_label_loss,
    single_label_loss,
)
from fedjob_runtime.training.data.dataset import ManifestDataset
from fedjob_runtime.training.errors import TrainFunctionInvalidError

Loss = Callable[[object, Tensor], Tensor]


class Measures(Protocol):
    """Adds up batches to metrics."""

    samples: int

    def add(self, output: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Counts one batch."""

    def metrics(self) -> dict[str, float]:
        """Means over all samples."""


def loss_of(dataset: ManifestDataset, *, cross_entropy: bool = False) -> Loss:
    """The loss for a shard's labels.

    Args:
        dataset: Classes take binary cross-entropy, numbers the mean squared error.
        cross_entropy: Where every sample has one class: cross-entropy instead.
    """
    if dataset.regression:
        return regression_loss
    return single_label_loss if cross_entropy and dataset.single_label else multi_label_loss


def measures_of(dataset: ManifestDataset) -> Measures:
    """What adds up the metrics for a shard's labels."""
    return Errors() if dataset.regression else Tally(dataset.single_label)


def regression_loss(output: object, targets: Tensor) -> Tensor:
    """Mean squared error.

    Args:
        output: The model's, [N, T], or [N] for one number a sample.
        targets: [N, T].

    Raises:
        TrainFunctionInvalidError: The model's output is something else.
    """
    return mse_loss(_shaped(output, targets), targets)


@dataclass(slots=True)
class Errors:
    """Sums of regression errors over batches; float64, so that a million samples add up."""

    samples: int = 0
    squared: float = 0.0
    absolute: float = 0.0

    def add(self, output: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Counts one batch: output and targets [N, T], their mean squared error."""
        difference = (_shaped(output, labels).detach() - labels).double()
        self.samples += labels.shape[0]
        self.squared += float(difference.square().mean(1).sum())
        self.absolute += float(difference.abs().mean(1).sum())

    def metrics(self) -> dict[str, float]:
        """`loss` (the same as `mse`), `mse` and `mae`."""
        mse = self.squared / self.samples
        return {"loss": mse, "mse": mse, "mae": self.absolute / self.samples}


def _shaped(output: object, targets: Tensor) -> Tensor:
    if isinstance(output, Tensor):
        if output.shape == targets.shape:
            return output
        if targets.shape[1] == 1 and output.shape == targets.shape[:1]:
            return output.unsqueeze(1)
    shape = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
    raise TrainFunctionInvalidError(
        f"the model's output is {shape}, the targets are {list(targets.shape)} (batch, numbers)",
        f"end the model with nn.Linear(..., {targets.shape[1]}), or write fl_train and fl_validate",
    )


class ProximalTerm:
    """FedProx's term: mu / 2 x the squared distance of the trained parameters from their start.

    It keeps a worker's model near the global one. Source: Li et al. 2020, section 3.2.

    In a training function of form A or B:

        term = ProximalTerm(model, env["PROXIMAL_MU"])     # before the first step
        loss = criterion(model(inputs), targets) + term()

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

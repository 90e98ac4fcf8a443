"""From `spec.federation.strategy` to what folds a round's answers together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from torch import Tensor

from fedjob_runtime.server.job_process.aggregators import Mean
from fedjob_runtime.server.job_process.model_mean import ModelMean
from fedjob_runtime.server.job_process.strategies.adaptive import Adagrad, Adam, Yogi
from fedjob_runtime.server.job_process.strategies.robust import Krum, Median, TrimmedMean
from fedjob_runtime.server.job_process.strategies.server_momentum import ServerMomentum
from fedjob_runtime.server.job_process.strategies.server_optimizer import OptimizedMean, Rule

Weights = dict[str, Tensor]

OPTIMIZERS: Mapping[str, Callable[..., Rule]] = {
    "FedAvgM": ServerMomentum,
    "FedAdam": Adam,
    "FedYogi": Yogi,
    "FedAdagrad": Adagrad,
}
ROBUST: Mapping[str, Callable[..., Mean]] = {
    "TrimmedMean": TrimmedMean,
    "Median": Median,
    "Krum": Krum,
}
MEANS = ("FedAvg", "FedProx")
"""FedProx differs on the workers only, in the term that they add to their loss."""


def has_state(name: str) -> bool:
    """Whether the strategy keeps anything from round to round."""
    return name in OPTIMIZERS


def strategy_mean(
    name: str,
    args: Mapping[str, Any],
    reference: Weights,
    state: Weights,
    parameters: Collection[str] | None,
) -> Mean:
    """What folds one round's answers together.

    Args:
        name: Of the spec, which has checked it.
        args: Keyword arguments, in snake case, which the spec has checked and completed.
        reference: The global model.
        state: The strategy's state after the last round; empty at the start.
        parameters: The model's trained tensors, where they are known.
    """
    if name in OPTIMIZERS:
        return OptimizedMean(OPTIMIZERS[name](**args), reference, state, parameters)
    if name in ROBUST:
        return ROBUST[name](reference, **args)
    return ModelMean(reference)

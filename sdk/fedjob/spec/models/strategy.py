"""`spec.federation.strategy`: how a round's answers become the next global model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedjob.spec.models.base import Model

StrategyName = Literal[
    "FedAvg",
    "FedAvgM",
    "FedProx",
    "FedAdam",
    "FedYogi",
    "FedAdagrad",
    "TrimmedMean",
    "Median",
    "Krum",
]

ARGUMENTS: dict[str, dict[str, float | int]] = {
    "FedAvg": {},
    "FedAvgM": {"learning_rate": 1.0, "momentum": 0.9},
    "FedProx": {"mu": 0.01},
    "FedAdam": {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.99, "tau": 1e-3},
    "FedYogi": {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.99, "tau": 1e-3},
    "FedAdagrad": {"learning_rate": 0.1, "beta1": 0.0, "tau": 1e-3},
    "TrimmedMean": {"fraction": 0.1},
    "Median": {},
    "Krum": {"byzantine": 1, "keep": 1},
}
"""The arguments that each strategy takes, with their defaults."""


class StrategyArgs(Model):
    """Arguments of the strategy; each belongs to some strategies only."""

    learning_rate: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="The server's. FedAvgM: 1; FedAdam, FedYogi, FedAdagrad: 0.1.",
    )
    momentum: float | None = Field(None, ge=0, le=0.999999, description="FedAvgM: 0.9.")
    beta1: float | None = Field(
        None,
        ge=0,
        le=0.999999,
        description="Decay of the first moment. FedAdam, FedYogi: 0.9; FedAdagrad: 0.",
    )
    beta2: float | None = Field(
        None, ge=0, le=0.999999, description="Decay of the second moment. FedAdam, FedYogi: 0.99."
    )
    tau: float | None = Field(
        None,
        ge=1e-12,
        le=1000,
        description="Degree of adaptivity: the larger, the more equal the steps of all elements. "
        "FedAdam, FedYogi, FedAdagrad: 0.001.",
    )
    mu: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="Weight of the term that keeps a worker's model near the global one. FedProx: "
        "0.01.",
    )
    fraction: float | None = Field(
        None,
        ge=0,
        le=0.499999,
        description="Part of the values that is left out at each end. TrimmedMean: 0.1.",
    )
    byzantine: int | None = Field(
        None, ge=0, le=126, description="Bad answers to withstand. Krum: 1."
    )
    keep: int | None = Field(None, ge=1, le=256, description="Answers that are averaged. Krum: 1.")


class Strategy(Model):
    """How the server combines the workers' answers."""

    name: StrategyName = Field("FedAvg", description="Its name in the literature.")
    args: StrategyArgs = Field(default_factory=StrategyArgs)

    def arguments(self) -> dict[str, float | int]:
        """The arguments of this strategy by their names in Python: those given, and defaults."""
        given = self.args.model_dump(exclude_none=True)
        defaults = ARGUMENTS[self.name]
        return {name: given.get(name, default) for name, default in defaults.items()}

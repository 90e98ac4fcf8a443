"""Names of the spec and the classes behind them."""

from __future__ import annotations

import pytest
import torch

from fedjob_runtime.server.job_process.model_mean import ModelMean
from fedjob_runtime.server.job_process.strategies.adaptive import Yogi
from fedjob_runtime.server.job_process.strategies.choose import (
    MEANS,
    OPTIMIZERS,
    ROBUST,
    has_state,
    strategy_mean,
)


@pytest.mark.parametrize("name", [*MEANS, *OPTIMIZERS, *ROBUST])
def test_every_strategy_gives_a_model(name: str) -> None:
    reference = {"w": torch.zeros(3)}
    mean = strategy_mean(name, {}, reference, {}, None)
    for index in range(5):
        mean.add({"w": torch.full((3,), 1.0)}, 2, f"worker-{index}")
    assert torch.isfinite(mean.result()["w"]).all()
    assert bool(mean.state()) == has_state(name)


def test_arguments_reach_the_rule() -> None:
    reference = {"w": torch.zeros(3)}
    mean = strategy_mean("FedYogi", {"learning_rate": 0.0}, reference, {}, ["w"])
    mean.add({"w": torch.ones(3)}, 1, "worker-0")
    assert mean.result()["w"].equal(reference["w"])
    assert OPTIMIZERS["FedYogi"] is Yogi
    assert isinstance(strategy_mean("FedProx", {}, reference, {}, None), ModelMean)

"""What a strategy keeps survives a lost server, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fedjob.spec.models.strategy import Strategy
from fedjob_runtime.server.job_process.strategies.choose import strategy_mean
from support.federation import AGENT, Federation

pytestmark = pytest.mark.federation

STEPS = """
import time
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)


def fl_train_model(payload, out_dir):
    model = Net()
    model.set_weights(payload["initial_weights"])
    time.sleep(1)
    step = int(payload["env"]["SITE_NAME"].split("-")[1]) + 1
    with torch.no_grad():
        model.fc.weight += step
        model.norm.running_var += step
    return {"weights": model.state_dict(), "samples": 2 * step}
"""
TRAINED = ("fc.weight", "fc.bias", "norm.weight", "norm.bias")


def undisturbed(strategy: Strategy, start: dict[str, Tensor], rounds: int) -> dict[str, Tensor]:
    """The model after `rounds` rounds without any fault, in this process."""
    weights, kept = start, dict[str, Tensor]()
    for _ in range(rounds):
        mean = strategy_mean(strategy.name, strategy.arguments(), weights, kept, TRAINED)
        for step in (1, 2):
            changed = {name: weights[name] + step for name in ("fc.weight", "norm.running_var")}
            mean.add({**weights, **changed}, 2 * step, f"worker-{step - 1}")
        weights, kept = mean.result(), mean.state()
    return weights


def test_a_lost_server_loses_nothing_of_the_strategy(
    federation: Callable[..., Federation],
) -> None:
    rounds, strategy = 4, Strategy(name="FedAdam")
    fed = federation(
        STEPS,
        [2, 4],
        federation={
            "num_rounds": rounds,
            "min_clients": 2,
            "strategy": strategy.model_dump(by_alias=True, exclude_none=True),
        },
    )
    with fed.kept_restarting():
        fed.start()
        fed.until(lambda s: s.completed >= 1 and s.current == 2, what="round 2 under way")
        fed.processes["server"].kill()
        fed.until(lambda s: s.completed >= 2 and s.current == 3, what="round 3 under way")
        fed.processes[AGENT].kill()
        assert fed.wait_end() == 0, fed.logs()
    assert fed.log.commits() == list(range(rounds + 1))
    assert all(fed.log.read(number).strategy is not None for number in range(1, rounds + 1))
    expected = undisturbed(strategy, fed.model(0), rounds)
    for name, value in fed.model(rounds).items():
        # The order of answers changes a mean of floats by a unit in the last place.
        tolerance = 0.0 if name.startswith("fc.bias") else 1e-6
        torch.testing.assert_close(value, expected[name], rtol=tolerance, atol=tolerance)

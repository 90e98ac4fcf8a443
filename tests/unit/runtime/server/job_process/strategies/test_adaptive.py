"""FedAdam, FedYogi and FedAdagrad against the paper's formulas in float64, for ten rounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fedjob_runtime.server.job_process.strategies.adaptive import Adagrad, Adam, Adaptive, Yogi
from fedjob_runtime.server.job_process.strategies.server_optimizer import OptimizedMean

ROUNDS = 10
SAMPLES = (10, 1, 300)
RULES = {"adam": Adam, "yogi": Yogi, "adagrad": Adagrad}


def second_moment(name: str, second: np.ndarray, square: np.ndarray, beta2: float) -> np.ndarray:
    if name == "adam":
        return beta2 * second + (1 - beta2) * square
    if name == "yogi":
        return second - (1 - beta2) * square * np.sign(second - square)
    return second + square


def reference(name: str, rule: Adaptive, start: np.ndarray, means: list[np.ndarray]) -> np.ndarray:
    """Algorithm 2 of the paper; `means` are the workers' mean models, offsets from the global."""
    model, first = start.copy(), np.zeros_like(start)
    second = np.full_like(start, rule.tau**2)
    for offset in means:
        first = rule.beta1 * first + (1 - rule.beta1) * offset
        second = second_moment(name, second, offset**2, rule.beta2)
        model = model + rule.learning_rate * first / (np.sqrt(second) + rule.tau)
    return model


def offsets(seed: int) -> list[np.ndarray]:
    """What each worker adds to the global model in one round, [worker, element]."""
    generator = np.random.default_rng(seed)
    return list(generator.normal(scale=0.1, size=(len(SAMPLES), 40)))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_ten_rounds_are_those_of_the_paper(name: str, dtype: torch.dtype, tolerance: float) -> None:
    rule = RULES[name]()
    start = np.random.default_rng(0).normal(size=40)
    model: dict[str, Tensor] = {"w": torch.tensor(start, dtype=dtype), "n": torch.tensor(4)}
    state: dict[str, Tensor] = {}
    means = []
    for number in range(ROUNDS):
        mean = OptimizedMean(rule, model, state)
        given = offsets(number)
        means.append(np.average(given, axis=0, weights=SAMPLES))
        for index, (offset, samples) in enumerate(zip(given, SAMPLES, strict=True)):
            value = (model["w"].double() + torch.tensor(offset)).to(dtype)
            mean.add({"w": value, "n": torch.tensor(7)}, samples, f"worker-{index}")
        model, state = mean.result(), mean.state()
    expected = reference(name, rule, start, means)
    torch.testing.assert_close(model["w"].double(), torch.tensor(expected), rtol=0, atol=tolerance)
    assert model["w"].dtype is dtype
    assert int(model["n"]) == 7, "integers are averaged"


def test_adagrad_without_momentum_is_that_of_torch() -> None:
    rule = Adagrad(beta1=0.0)
    start = torch.linspace(-1, 1, 30, dtype=torch.float64)
    theirs = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.Adagrad(
        [theirs], lr=rule.learning_rate, initial_accumulator_value=rule.tau**2, eps=rule.tau
    )
    model, state = {"w": start}, {}
    for number in range(ROUNDS):
        offset = torch.tensor(offsets(number)[0][:30])
        theirs.grad = -offset
        optimizer.step()
        mean = OptimizedMean(rule, model, state)
        mean.add({"w": model["w"] + offset}, 3, "worker-0")
        model, state = mean.result(), mean.state()
    torch.testing.assert_close(model["w"], theirs.detach(), rtol=0, atol=1e-12)

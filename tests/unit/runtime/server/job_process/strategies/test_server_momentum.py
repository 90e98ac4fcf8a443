"""FedAvgM: torch's own SGD with momentum is the second implementation."""

from __future__ import annotations

import torch
from torch import Tensor

from fedjob_runtime.server.job_process.model_mean import ModelMean
from fedjob_runtime.server.job_process.strategies.server_momentum import ServerMomentum
from fedjob_runtime.server.job_process.strategies.server_optimizer import OptimizedMean


def test_ten_rounds_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(50, generator=generator, dtype=torch.float64)
    theirs = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([theirs], lr=0.5, momentum=0.9)
    model: dict[str, Tensor] = {"w": start}
    state: dict[str, Tensor] = {}
    for _ in range(10):
        offsets = torch.randn(2, 50, generator=generator, dtype=torch.float64)
        theirs.grad = -(offsets[0] * 3 + offsets[1] * 7) / 10
        optimizer.step()
        mean = OptimizedMean(ServerMomentum(learning_rate=0.5, momentum=0.9), model, state)
        mean.add({"w": model["w"] + offsets[0]}, 3, "worker-0")
        mean.add({"w": model["w"] + offsets[1]}, 7, "worker-1")
        model, state = mean.result(), mean.state()
    torch.testing.assert_close(model["w"], theirs.detach(), rtol=0, atol=1e-12)


def test_without_momentum_it_is_the_mean() -> None:
    reference = {"w": torch.linspace(-3, 3, 20), "b": torch.ones(3, dtype=torch.bfloat16)}
    plain = ModelMean(reference)
    optimized = OptimizedMean(ServerMomentum(momentum=0.0), reference, {})
    for index in range(3):
        weights = {name: value + index for name, value in reference.items()}
        plain.add(weights, index + 1, f"worker-{index}")
        optimized.add(weights, index + 1, f"worker-{index}")
    torch.testing.assert_close(optimized.result(), plain.result())

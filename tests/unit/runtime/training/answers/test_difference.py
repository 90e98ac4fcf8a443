"""Differences: added where declared, recognised where not; no trained model is taken for one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fedjob_runtime.training.answers.difference import added, looks_like_difference

DATA = load_digits()
X = torch.tensor(DATA.data[:400], dtype=torch.float32) / 16
Y = torch.tensor(DATA.target[:400])

MODELS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
    "batch norm": lambda: nn.Sequential(
        nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10)
    ),
    "linear": lambda: nn.Linear(64, 10),
}
OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "adam": lambda m: torch.optim.Adam(m.parameters(), lr=1e-3),
    "adam, fast": lambda m: torch.optim.Adam(m.parameters(), lr=1e-2),
    "decay": lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9, weight_decay=0.05),
}


def trained(model: nn.Module, optimizer: str, epochs: int) -> nn.Module:
    step = OPTIMIZERS[optimizer](model)
    for _ in range(epochs):
        for part in torch.arange(400).split(32):
            loss = cross_entropy(model(X[part]), Y[part])
            step.zero_grad()
            loss.backward()
            step.step()
    return model


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("epochs", [1, 5])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", MODELS)
def test_trained_models_are_not_differences_and_those_of_the_given_model_are_found(
    kind: str, optimizer: str, epochs: int
) -> None:
    torch.manual_seed(0)
    model = MODELS[kind]()
    start = state(model)
    after = state(trained(model, optimizer, epochs))
    assert not looks_like_difference(after, start, model)
    assert not looks_like_difference(after, start)
    difference = {name: after[name] - start[name] for name in start}
    assert looks_like_difference(difference, start, model)
    # From another start, as functions do that forget the global weights: another warning's case.
    assert not looks_like_difference(state(trained(MODELS[kind](), optimizer, epochs)), start)


@pytest.mark.parametrize("kind", ["mlp", "linear"])
def test_a_small_difference_is_found_without_the_model(kind: str) -> None:
    torch.manual_seed(0)
    model = MODELS[kind]()
    start = state(model)
    after = state(trained(copy.deepcopy(model), "adam", 1))
    assert looks_like_difference({name: after[name] - start[name] for name in start}, start)


def test_undecidable_cases_pass() -> None:
    big, tiny = {"w": torch.ones(100)}, {"w": torch.full((3,), 0.1)}
    assert not looks_like_difference({"w": torch.zeros(100)}, big)
    assert not looks_like_difference(big, {"w": torch.zeros(100)})
    assert not looks_like_difference(tiny, {"w": torch.tensor([1.0, -1.0, 1.0])})
    assert not looks_like_difference(big, {})
    # Shrunk only, as by decay: the direction is kept.
    assert not looks_like_difference({"w": torch.full((100,), 0.05)}, big)


def test_a_difference_is_added_in_every_dtype() -> None:
    start = {
        "float": torch.tensor([1.0, 2.0]),
        "half": torch.tensor([1.0], dtype=torch.float16),
        "count": torch.tensor(5),
        "mask": torch.tensor([True, True]),
        "left out": torch.ones(1),
    }
    found = added(
        {
            "float": torch.tensor([0.5, -1.0], dtype=torch.float64),
            "half": torch.tensor([0.5]),
            "count": torch.tensor(2),
            "mask": torch.tensor([1, 0]),
            "unknown": torch.ones(1),
            "float2": "text",
        },
        start,
    )
    assert torch.as_tensor(found["float"]).tolist() == [1.5, 1.0]
    assert torch.as_tensor(found["half"]).tolist() == [1.5]
    assert torch.as_tensor(found["count"]).item() == 7
    assert torch.as_tensor(found["mask"]).tolist() == [False, True]
    assert torch.as_tensor(found["unknown"]).tolist() == [1]
    assert "left out" not in found

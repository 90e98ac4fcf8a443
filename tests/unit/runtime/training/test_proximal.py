"""FedProx's term and its gradient."""

from __future__ import annotations

import torch
from torch import nn

from fedjob_runtime.training.proximal import ProximalTerm


def test_term_is_half_mu_times_the_squared_distance() -> None:
    model = nn.Linear(3, 2)
    term = ProximalTerm(model, 0.5)
    assert term().item() == 0
    with torch.no_grad():
        model.weight += 2.0
        model.bias -= 1.0
    assert term().item() == 0.25 * (6 * 4 + 2 * 1)
    term().backward()
    assert model.weight.grad is not None
    torch.testing.assert_close(model.weight.grad, torch.full((2, 3), 0.5 * 2.0))


def test_frozen_parameters_do_not_count() -> None:
    model = nn.Linear(3, 2)
    model.weight.requires_grad = False
    term = ProximalTerm(model, 1.0)
    with torch.no_grad():
        model.weight += 5.0
    assert term().item() == 0


def test_without_mu_nothing_is_kept() -> None:
    model = nn.Linear(3, 2)
    term = ProximalTerm(model, 0.0)
    with torch.no_grad():
        model.weight += 5.0
    assert term().item() == 0

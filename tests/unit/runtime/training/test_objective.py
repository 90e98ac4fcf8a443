"""Losses and measures by what the manifest holds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fedjob_runtime.training.classification import multi_label_loss, single_label_loss
from fedjob_runtime.training.errors import TrainFunctionInvalidError
from fedjob_runtime.training.objective import (
    Errors,
    ProximalTerm,
    loss_of,
    measures_of,
    regression_loss,
)


class Labels:
    def __init__(self, *, regression: bool, single_label: bool) -> None:
        self.regression, self.single_label = regression, single_label


@pytest.mark.parametrize(
    ("regression", "single", "cross_entropy", "expected"),
    [
        (True, False, False, regression_loss),
        (True, False, True, regression_loss),
        (False, True, True, single_label_loss),
        (False, True, False, multi_label_loss),
        (False, False, True, multi_label_loss),
    ],
)
def test_loss_by_labels(
    regression: bool, single: bool, cross_entropy: bool, expected: object
) -> None:
    labels = Labels(regression=regression, single_label=single)
    assert loss_of(labels, cross_entropy=cross_entropy) is expected  # type: ignore[arg-type]
    assert isinstance(measures_of(labels), Errors) is regression  # type: ignore[arg-type]


def test_regression_errors_over_unequal_batches() -> None:
    errors = Errors()
    for output, target in (([[1.0], [2.0]], [[0.0], [0.0]]), ([[3.0]], [[0.0]])):
        errors.add(torch.tensor(output), torch.tensor(target), torch.tensor(0.0))
    assert errors.metrics() == {
        "loss": pytest.approx(14 / 3),
        "mse": pytest.approx(14 / 3),
        "mae": pytest.approx(2.0),
    }


def test_one_number_a_sample_may_come_without_its_dimension() -> None:
    assert float(regression_loss(torch.tensor([1.0, 3.0]), torch.zeros(2, 1))) == 5.0


@pytest.mark.parametrize("output", [torch.zeros(2, 3), torch.zeros(2), "text"])
def test_another_output_is_refused_with_the_layer_to_write(output: object) -> None:
    with pytest.raises(TrainFunctionInvalidError, match=r"nn.Linear\(..., 2\)"):
        regression_loss(output, torch.zeros(2, 2))


# FedProx's term.


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

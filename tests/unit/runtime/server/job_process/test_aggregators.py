"""FedAvg or the author's aggregator, and the check of what either gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator
from torch import Tensor

from fedjob.errors import FedjobError
from fedjob.reasons import Reason
from fedjob_runtime.server.job_process.aggregators import (
    AuthorsMean,
    aggregate,
    authors_mean,
    full_weights,
)
from fedjob_runtime.server.job_process.model_mean import ModelMean
from fedjob_runtime.training.errors import NonFiniteWeightsError

REFERENCE = {"w": torch.zeros(2, dtype=torch.float16), "mask": torch.tensor([-torch.inf, 0.0])}
BIG = {"w": torch.full((2,), 60000.0, dtype=torch.float16), "mask": REFERENCE["mask"]}


class Summing(ModelAggregator):
    """Adds in float16 before it divides, as a hasty author does."""

    def __init__(self, give: Any = None) -> None:
        super().__init__()
        self.give = give
        self.seen: list[dict[str, Tensor]] = []

    def accept_model(self, model: FLModel) -> None:
        self.seen.append(model.params)

    def aggregate_model(self) -> Any:
        if self.give is not None:
            return self.give
        total = {name: sum(part[name] for part in self.seen) for name in self.seen[0]}
        return FLModel(
            params_type=ParamsType.FULL,
            params={name: value / len(self.seen) for name, value in total.items()},
        )

    def reset_stats(self) -> None:
        self.seen = []


def authors(aggregator: ModelAggregator) -> AuthorsMean:
    found = authors_mean(aggregator, REFERENCE, 2, FLContext())
    assert isinstance(found, AuthorsMean)
    return found


def test_fedavg_without_an_aggregator() -> None:
    mean = ModelMean(REFERENCE)
    for _ in range(3):
        mean.add(BIG, 100, "worker-0")
    got = aggregate(mean, REFERENCE, 0)
    assert torch.equal(got["w"], BIG["w"])
    assert torch.equal(got["mask"], REFERENCE["mask"]), "an infinity that the model has stays"


def test_a_component_that_is_no_aggregator_is_refused() -> None:
    """It was passed over, and FedAvg took its place."""
    with pytest.raises(FedjobError, match=r"spec\.components\.aggregator: dict does not") as caught:
        authors_mean({}, REFERENCE, 0, FLContext())
    assert caught.value.reason is Reason.COMPONENT_INVALID


def test_an_infinite_mean_that_no_worker_sent_is_an_error_of_its_own() -> None:
    mean = authors(Summing())
    mean.add(BIG, 1, "worker-0")
    mean.add(BIG, 1, "worker-0")
    with pytest.raises(FedjobError) as caught:
        mean.result()
    assert caught.value.reason is Reason.AGGREGATION_OVERFLOW
    text = str(caught.value)
    assert "Summing.aggregate in round 3: w has 2 of 2 values" in text
    assert "add in float64: correct spec.components.aggregator" in text
    assert "learning_rate" not in text


class Overflowing(ModelMean):
    def result(self) -> dict[str, Tensor]:
        return {**super().result(), "w": torch.tensor([torch.inf, 0.0], dtype=torch.float16)}


def test_the_mean_is_checked_before_it_is_committed() -> None:
    mean = Overflowing(REFERENCE)
    mean.add(BIG, 1, "worker-0")
    with pytest.raises(FedjobError, match="the mean of round 1: w has 1 of 2 values") as caught:
        aggregate(mean, REFERENCE, 0)
    assert caught.value.reason is Reason.AGGREGATION_OVERFLOW


@pytest.mark.parametrize("give", ["text", FLModel(params_type=ParamsType.FULL, params={})])
def test_what_is_not_a_model_is_the_aggregators_error(give: Any) -> None:
    mean = authors(Summing(give))
    with pytest.raises(FedjobError, match=r"Summing\.aggregate") as caught:
        mean.result()
    assert caught.value.reason is Reason.AGGREGATION_FAILED


def test_a_difference_that_leads_to_an_infinity_is_refused() -> None:
    reference = {"w": torch.full((2,), 60000.0, dtype=torch.float16)}
    model = FLModel(params_type=ParamsType.DIFF, params={"w": reference["w"].numpy()})
    with pytest.raises(NonFiniteWeightsError, match="worker-1: w has 2 of 2"):
        full_weights(model, reference, "worker-1")

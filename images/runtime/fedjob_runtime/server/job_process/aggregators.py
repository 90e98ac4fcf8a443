"""Where a round's results are folded together: FedAvg, or the author's own aggregator (row 34)."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from nvflare.apis.dxo import MetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.aggregator import Aggregator
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from torch import Tensor

from fedjob.errors import FedjobError
from fedjob.reasons import Reason
from fedjob_runtime.protocol import SAMPLES
from fedjob_runtime.server.job_process.failures import described, folder_of
from fedjob_runtime.server.job_process.fedavg import WeightedMean
from fedjob_runtime.training.errors import NonFiniteWeightsError
from fedjob_runtime.training.weights import check_weights

_FIX = "correct spec.components.aggregator"


class AggregationError(FedjobError):
    """The author's aggregator raised, or gave something that is not a model."""

    reason = Reason.AGGREGATION_FAILED


class AggregationOverflowError(FedjobError):
    """The mean has infinite or NaN values where every answer was finite."""

    reason = Reason.AGGREGATION_OVERFLOW


class AggregatorInvalidError(FedjobError):
    """The component `aggregator` is not an NVFlare Aggregator."""

    reason = Reason.COMPONENT_INVALID


class Mean(Protocol):
    """Takes checked results in, one by one, and gives the next global model."""

    def add(self, weights: dict[str, Tensor], samples: int) -> None:
        """Folds one worker's weights in."""

    def result(self) -> dict[str, Tensor]:
        """The next global model; nothing of this round is kept."""


class AuthorsMean:
    """The author's `Aggregator` or `ModelAggregator`, called as NVFlare's own workflows call it.

    Args:
        aggregator: The component `aggregator` of the job's configuration.
        reference: The global model; what comes back must have its names and shapes.
        round_number: CURRENT_ROUND, from 0.
        fl_ctx: NVFlare's context.
    """

    def __init__(
        self,
        aggregator: Aggregator,
        reference: dict[str, Tensor],
        round_number: int,
        fl_ctx: FLContext,
    ) -> None:
        self._aggregator = aggregator
        self._reference = reference
        self._round = round_number
        self._context = fl_ctx
        self._guard("reset", lambda: aggregator.reset(fl_ctx))

    def add(self, weights: dict[str, Tensor], samples: int) -> None:
        """Offers one worker's weights; the number of samples is in the meta, under both names."""
        model = FLModel(
            params_type=ParamsType.FULL,
            params=weights,
            current_round=self._round,
            meta={SAMPLES: samples, MetaKey.NUM_STEPS_CURRENT_ROUND: samples},
        )
        shareable = FLModelUtils.to_shareable(model)
        self._guard("accept", lambda: self._aggregator.accept(shareable, self._context))

    def result(self) -> dict[str, Tensor]:
        """What the aggregator makes of the results it accepted."""
        reply = self._guard("aggregate", lambda: self._aggregator.aggregate(self._context))
        model = self._guard("aggregate", lambda: FLModelUtils.from_shareable(reply))
        name = f"{type(self._aggregator).__name__}.aggregate in round {self._round + 1}"
        try:
            return full_weights(model, self._reference, name)
        except NonFiniteWeightsError as error:
            raise AggregationOverflowError(
                f"{name}: {error.problem}, while every answer was finite there; divide before "
                f"adding, or add in float64: {_FIX}"
            ) from error
        except FedjobError as error:
            raise AggregationError(str(error)) from error

    def _guard(self, what: str, call: Any) -> Any:
        try:
            return call()
        except Exception as error:
            # The author's code may raise anything; its last frames are theirs to read.
            name = type(self._aggregator).__name__
            text = described(error, folder_of(self._aggregator))
            raise AggregationError(
                f"{name}.{what} failed in round {self._round + 1}: {text}\n{_FIX}"
            ) from error


def mean_for(
    aggregator: object, reference: dict[str, Tensor], round_number: int, fl_ctx: FLContext
) -> Mean:
    """FedAvg, or the author's aggregator where the job has one.

    Raises:
        AggregatorInvalidError: The component does not derive from NVFlare's Aggregator.
    """
    if aggregator is None:
        return WeightedMean(reference)
    if not isinstance(aggregator, Aggregator):
        raise AggregatorInvalidError(
            f"spec.components.aggregator: {type(aggregator).__name__} does not derive from "
            "NVFlare's Aggregator; derive it from ModelAggregator"
        )
    return AuthorsMean(aggregator, reference, round_number, fl_ctx)


def aggregate(mean: Mean, reference: dict[str, Tensor], round_number: int) -> dict[str, Tensor]:
    """The next global model, checked before anything is committed.

    Args:
        mean: The round's results.
        reference: The global model that the workers started from.
        round_number: CURRENT_ROUND, from 0.

    Raises:
        AggregationOverflowError: It has infinite or NaN values that the reference does not have;
            answers with such values were refused.
    """
    weights = mean.result()
    try:
        return check_weights(weights, reference, "")
    except NonFiniteWeightsError as error:
        raise AggregationOverflowError(
            f"the mean of round {round_number + 1}: {error.problem}, while every answer was finite "
            "there; report it with the server's log and the model's dtypes"
        ) from error


def full_weights(model: FLModel, reference: dict[str, Tensor], who: str) -> dict[str, Tensor]:
    """The full weights of an answer, checked: NVFlare's executors may answer arrays or differences.

    Args:
        model: The answer.
        reference: The global model it was made from.
        who: Who answered, for the error.

    Raises:
        TrainingError: Names, shapes or values do not fit the global model.
    """
    given = {name: _tensor(value) for name, value in (model.params or {}).items()}
    weights = check_weights(given, reference, who)
    if model.params_type == ParamsType.DIFF:
        # Once more: a finite difference may lead to an infinite weight.
        moved = {name: reference[name] + value for name, value in weights.items()}
        return check_weights(moved, reference, who)
    return weights


def _tensor(value: Any) -> Any:
    """Arrays become tensors; anything else is left for the check to name."""
    return torch.as_tensor(value) if hasattr(value, "__array__") else value

"""Where a round's results are folded together: FedAvg, or the user's own aggregator (row 34)."""

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
from fedjob_runtime.server.job_process.fedavg import WeightedMean
from fedjob_runtime.training.weights import check_weights


class AggregationError(FedjobError):
    """The user's aggregator raised, or gave something that is not a model."""

    reason = Reason.AGGREGATION_FAILED


class Mean(Protocol):
    """Takes checked results in, one by one, and gives the next global model."""

    def add(self, weights: dict[str, Tensor], samples: int) -> None:
        """Folds one worker's weights in."""

    def result(self) -> dict[str, Tensor]:
        """The next global model; nothing is left of this round."""


class UserMean:
    """The user's `Aggregator` or `ModelAggregator`, called as NVFlare's own workflows call it.

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
        try:
            return full_weights(model, self._reference, "the aggregator")
        except FedjobError as error:
            raise AggregationError(str(error)) from error

    def _guard(self, what: str, call: Any) -> Any:
        try:
            return call()
        except Exception as error:
            # The user's code: whatever it raises is theirs to read.
            name = type(self._aggregator).__name__
            raise AggregationError(
                f"{name}.{what} failed in round {self._round}: {type(error).__name__}: {error}; "
                "correct spec.components.aggregator"
            ) from error


def mean_for(
    aggregator: object, reference: dict[str, Tensor], round_number: int, fl_ctx: FLContext
) -> Mean:
    """FedAvg, or the user's aggregator where the job has one."""
    if isinstance(aggregator, Aggregator):
        return UserMean(aggregator, reference, round_number, fl_ctx)
    return WeightedMean(reference)


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
        return {name: reference[name] + value for name, value in weights.items()}
    return weights


def _tensor(value: Any) -> Any:
    """Arrays become tensors; anything else is left for the check to name."""
    return torch.as_tensor(value) if hasattr(value, "__array__") else value

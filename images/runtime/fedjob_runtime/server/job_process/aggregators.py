"""Where a round's results are folded together: FedAvg, or the user's own aggregator (row 34)."""

from __future__ import annotations

from typing import Any, Protocol

from nvflare.apis.dxo import MetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.aggregator import Aggregator
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from torch import Tensor

from fedjob.errors import FedjobError
from fedjob.reasons import Reason
from fedjob_runtime.protocol import PARTIAL, SAMPLES
from fedjob_runtime.server.job_process.model_mean import ExtraStateMean, ModelMean
from fedjob_runtime.training.answers.adapt import as_tensor
from fedjob_runtime.training.answers.difference import added
from fedjob_runtime.training.extra_state import is_extra_state
from fedjob_runtime.training.weights import check_weights


class AggregationError(FedjobError):
    """The user's aggregator raised, or gave something that is not a model."""

    reason = Reason.AGGREGATION_FAILED


class Mean(Protocol):
    """Takes checked results in, one by one, and gives the next global model."""

    def add(self, weights: dict[str, Tensor], samples: int, worker: str) -> None:
        """Folds one worker's weights in; names of the global model may be missing."""

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
        self._extra = ExtraStateMean()
        self._guard("reset", lambda: aggregator.reset(fl_ctx))

    def add(self, weights: dict[str, Tensor], samples: int, worker: str) -> None:
        """Offers one worker's weights; the number of samples is in the meta, under both names.

        The aggregator gets whole models: what a worker did not send is as in the global model. It
        gets no extra state of modules, which is not for averaging alone.
        """
        self._extra.add(weights, samples, worker)
        complete = {**self._reference, **weights}
        model = FLModel(
            params_type=ParamsType.FULL,
            params={name: value for name, value in complete.items() if not is_extra_state(name)},
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
            weights = full_weights(model, self._reference, "the aggregator")
            return weights | self._extra.result(self._reference)
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
    return ModelMean(reference)


def full_weights(
    model: FLModel, reference: dict[str, Tensor], who: str, *, partial: bool = False
) -> dict[str, Tensor]:
    """The weights of an answer, checked: NVFlare's executors may answer arrays or differences.

    Args:
        model: The answer.
        reference: The global model it was made from; empty where there is none yet.
        who: Who answered, for the error.
        partial: The job takes a part of the model. An answer says itself that it may be one: it
            leaves nothing undone that other weights could not leave undone as well.

    Raises:
        TrainingError: Names, shapes or values do not fit the global model.
    """
    given: dict[str, object] = {n: as_tensor(v) for n, v in (model.params or {}).items()}
    if model.params_type == ParamsType.DIFF:
        given = added(given, reference)
    partial = partial or bool(model.meta.get(PARTIAL))
    return check_weights(given, reference, who, partial=partial)

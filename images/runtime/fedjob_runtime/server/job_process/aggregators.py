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
from fedjob_runtime.protocol import ANSWER_SHA256, PARTIAL, SAMPLES
from fedjob_runtime.server.job_process.failures import described, folder_of
from fedjob_runtime.server.job_process.model_mean import ExtraStateMean
from fedjob_runtime.training.answers.adapt import as_tensor
from fedjob_runtime.training.answers.difference import added
from fedjob_runtime.training.errors import AnswerDamagedError, NonFiniteWeightsError
from fedjob_runtime.training.extra_state import is_extra_state
from fedjob_runtime.training.tensors.finite import not_finite, readable
from fedjob_runtime.training.weights import check_weights, digest

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

    def add(self, weights: dict[str, Tensor], samples: int, worker: str) -> None:
        """Folds one worker's weights in; names of the global model may be missing."""

    def result(self) -> dict[str, Tensor]:
        """The next global model; nothing of this round is kept but the state."""

    def state(self) -> dict[str, Tensor]:
        """After `result`: what the next round needs, committed with the model; often nothing."""


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
        self._extra = ExtraStateMean()
        self._guard("reset", lambda: aggregator.reset(fl_ctx))

    def add(self, weights: dict[str, Tensor], samples: int, worker: str) -> None:
        """Offers one worker's weights; the number of samples is in the meta, under both names.

        The aggregator gets complete models: what a worker did not send is as in the global model.
        It gets no extra state of modules, which may hold more than numbers.
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
        name = f"{type(self._aggregator).__name__}.aggregate in round {self._round + 1}"
        try:
            weights = full_weights(model, self._reference, name)
            return weights | self._extra.result(self._reference)
        except NonFiniteWeightsError as error:
            raise AggregationOverflowError(
                f"{name}: {error.problem}, while every answer was finite there; divide before "
                f"adding, or add in float64: {_FIX}"
            ) from error
        except FedjobError as error:
            raise AggregationError(str(error)) from error

    def state(self) -> dict[str, Tensor]:
        """Nothing is kept between rounds."""
        return {}

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


def authors_mean(
    aggregator: object, reference: dict[str, Tensor], round_number: int, fl_ctx: FLContext
) -> AuthorsMean:
    """The author's aggregator, checked.

    Raises:
        AggregatorInvalidError: The component does not derive from NVFlare's Aggregator.
    """
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
    for name in not_finite(weights):
        value = weights[name]
        count = _new_infinities(value, reference.get(name))
        if count and not is_extra_state(name):
            raise AggregationOverflowError(
                f"the mean of round {round_number + 1}: {name} has {count} of {value.numel()} "
                "values that are NaN or infinite, while every answer was finite there; report it "
                "with the server's log and the model's dtypes"
            )
    return weights


def _new_infinities(value: Tensor, start: Tensor | None) -> int:
    """How many values are not finite and not as in the global model."""
    seen = readable(value)
    bad = ~torch.isfinite(seen)
    if start is not None:
        bad &= seen != start.to(seen.dtype)
    return int(bad.sum())


def _require_intact(given: dict[str, object], sha256: object, who: str) -> None:
    """Checks weights against the checksum that came with them.

    An author's own executor, and a worker of an older image, send none: TLS alone protects these.
    """
    sound = all(isinstance(n, str) and isinstance(v, Tensor) for n, v in given.items())
    if sha256 is None or not sound:  # what is not a tensor is refused by name
        return
    found = digest(given)
    if found != sha256:
        raise AnswerDamagedError(
            f"its weights have SHA-256 {found[:12]}, and it sent them with {str(sha256)[:12]!r}",
            "a memory or disk of its node or of the server's may be faulty: move them to other "
            "nodes",
            worker=who,
        )


def full_weights(
    model: FLModel, reference: dict[str, Tensor], who: str, *, partial: bool = False
) -> dict[str, Tensor]:
    """The weights of an answer, checked: NVFlare's executors may answer arrays or differences.

    Args:
        model: The answer.
        reference: The global model it was made from; empty where there is none yet.
        who: Who answered, for the error.
        partial: The job takes a part of the model. An answer may declare itself one too: a worker
            gains nothing by it that other weights would not give.

    Raises:
        TrainingError: Names, shapes or values do not fit the global model, or the weights are not
            those that were sent.
    """
    given: dict[str, object] = {n: as_tensor(v) for n, v in (model.params or {}).items()}
    _require_intact(given, model.meta.get(ANSWER_SHA256), who)
    if model.params_type == ParamsType.DIFF:
        given = added(given, reference)
    partial = partial or bool(model.meta.get(PARTIAL))
    return check_weights(given, reference, who, partial=partial)

"""One worker's round: the author's function is called once, what it returns is checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from fedjob_runtime.training.callable_logger import CallableLogger
from fedjob_runtime.training.context import TrainingContext, make_fresh, working_directory
from fedjob_runtime.training.errors import EmptyWeightsError, TrainFunctionInvalidError
from fedjob_runtime.training.initial_weights import InitialWeights, not_loaded_warning
from fedjob_runtime.training.model_state import (
    gives_part,
    model_weights,
    set_weights,
    tied_names,
)
from fedjob_runtime.training.portable import portable
from fedjob_runtime.training.returns import Expected, TrainingResult, collect
from fedjob_runtime.training.signatures import (
    Form,
    TrainFunction,
    call_documented,
    call_published,
    find_train_function,
)
from fedjob_runtime.training.user_code.guard import guarded

__all__ = ["Form", "TrainingContext", "TrainingResult", "run_training"]


def run_training(
    module: ModuleType,
    train_function: str | None,
    model: nn.Module | None,
    initial_weights: Mapping[str, Tensor],
    context: TrainingContext,
    *,
    reference: Mapping[str, Tensor] | None = None,
    partial: bool = False,
    logger: logging.Logger | None = None,
) -> TrainingResult:
    """Trains once, in the form that the author's function has.

    Args:
        module: The author's module (for form C, any).
        train_function: Its function; None takes `fl_train_model`, else `fl_train`, else form C.
        model: A new instance of the model class. Forms B and C get it with the global weights
            loaded, on the device, in train mode; form A builds its own. None: the job has no
            model, and its function has form A.
        initial_weights: The global weights. Empty in round 0 only (row 36): then the model's own
            start.
        context: Worker, round, data and hyperparameters.
        reference: What the returned weights must match; default: the global weights, else the
            model's.
        partial: The function may return a part of the model.
        logger: Given to functions that take one.

    Returns:
        The checked result. Its warnings say so where the global weights seem unused (row 31).

    Raises:
        TrainingError: A subclass for each way to fail; each names the worker and says what to do.
    """
    folder = Path(str(module.__file__)).resolve().parent
    with guarded("its training function", folder, context):
        train = find_train_function(module, train_function)
    if not initial_weights and context.round > 0:
        raise EmptyWeightsError(
            f"the task of round {context.round} carries no weights; only round 0 may",
            "the server must send the global model",
            worker=context.worker,
        )
    if model is None and train.form is not Form.DOCUMENTED:
        raise TrainFunctionInvalidError(
            f"{train.name} takes a model, and the job has none",
            "name the model in spec.model.className, or write fl_train_model(payload)",
            worker=context.worker,
        )
    own = model_weights(model) if model is not None else {}
    start = reference or initial_weights or own
    logger = logger or logging.getLogger(f"fedjob.training.{context.worker}")
    out_dir = make_fresh(context.out_dir)
    given = InitialWeights(initial_weights) if train.form is Form.DOCUMENTED else None
    expected = Expected(
        weights=start,
        tied=tied_names(model) if model is not None else (),
        partial=partial or (model is not None and gives_part(model)),
        model=model if given is None else None,
    )
    what = f"{train.name} in round {context.round}"
    with guarded(what, folder, context), working_directory(context.data_root):
        returned = _call(
            train,
            model,
            initial_weights,
            given=given,
            context=context,
            out_dir=out_dir,
            logger=logger,
        )
        result = collect(returned, out_dir, expected, context.worker, context.data_root)
    untouched = given is None and _untouched(model, initial_weights, result.weights)
    warning = not_loaded_warning(given, initial_weights, result.weights, train.name, untouched)
    warnings = (*result.warnings, warning) if warning else result.warnings
    for note in warnings:
        logger.warning("%s, round %d: %s", context.worker, context.round, note)
    return replace(result, warnings=warnings)


def _call(
    train: TrainFunction,
    model: nn.Module | None,
    initial_weights: Mapping[str, Tensor],
    *,
    given: InitialWeights | None,
    context: TrainingContext,
    out_dir: Path,
    logger: logging.Logger,
) -> object:
    shown = CallableLogger(logger)
    if given is not None or model is None:
        return call_documented(train.function, context.payload(given or {}), out_dir, shown)
    if initial_weights:
        set_weights(model, initial_weights)
    # After loading: CONTRACT row 31.
    model.to(context.device).train()
    return call_published(train.function, model, context.env(), out_dir, shown)


def _untouched(
    model: nn.Module | None, initial: Mapping[str, Tensor], returned: Mapping[str, Tensor]
) -> bool:
    """Whether the model still has the global weights, and something else was returned."""
    if model is None:
        return False
    state = {k: v for k, v in portable(model.state_dict()).items() if k in initial}
    same = all(torch.equal(value, initial[name]) for name, value in state.items())
    return same and any(
        not torch.equal(value, initial[name]) for name, value in returned.items() if name in initial
    )

"""One worker's round: the user's function is called once, what it returns is checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from fedjob_runtime.training.context import TrainingContext, make_fresh
from fedjob_runtime.training.errors import EmptyWeightsError
from fedjob_runtime.training.initial_weights import InitialWeights, not_loaded_warning
from fedjob_runtime.training.model import model_weights, set_weights
from fedjob_runtime.training.returns import TrainingResult, collect
from fedjob_runtime.training.signatures import (
    Form,
    TrainFunction,
    call_documented,
    call_published,
    find_train_function,
)
from fedjob_runtime.training.user_code import guarded

__all__ = ["Form", "TrainingContext", "TrainingResult", "run_training"]


def run_training(
    module: ModuleType,
    train_function: str | None,
    model: nn.Module,
    initial_weights: Mapping[str, Tensor],
    context: TrainingContext,
    *,
    reference: Mapping[str, Tensor] | None = None,
    logger: logging.Logger | None = None,
) -> TrainingResult:
    """Trains once, in the form that the user's function has.

    Args:
        module: The user's module (for form C, any).
        train_function: Its function; None takes `fl_train_model`, else `fl_train`, else form C.
        model: A new instance of the model class. Forms B and C get it with the global weights
            loaded, on the device, in train mode; form A builds its own.
        initial_weights: The global weights. Empty in round 0 only (row 36): then the model's own
            start.
        context: Worker, round, data and hyperparameters.
        reference: What the returned weights must match; default: the global weights, else the
            model's.
        logger: Given to functions that take one.

    Returns:
        The checked result. Its warnings say so where the global weights seem unused (row 31).

    Raises:
        TrainingError: A subclass for each way to fail; each names the worker and says what to do.
    """
    folder = Path(str(module.__file__)).resolve().parent
    with guarded("its training function", folder, context.worker, context.batch_size):
        train = find_train_function(module, train_function)
    if not initial_weights and context.round > 0:
        raise EmptyWeightsError(
            f"the task of round {context.round} carries no weights; only round 0 may",
            "the server must send the global model",
            worker=context.worker,
        )
    expected = reference or initial_weights or model_weights(model)
    logger = logger or logging.getLogger(f"fedjob.training.{context.worker}")
    out_dir = make_fresh(context.out_dir)
    given = InitialWeights(initial_weights) if train.form is Form.DOCUMENTED else None
    what = f"{train.name} in round {context.round}"
    with guarded(what, folder, context.worker, context.batch_size):
        returned = _call(train, model, initial_weights, given, context, out_dir, logger)
        result = collect(returned, out_dir, expected, context.worker, context.data_root)
    untouched = given is None and _untouched(model, initial_weights, result.weights)
    warning = not_loaded_warning(given, initial_weights, result.weights, train.name, untouched)
    warnings = (*result.warnings, warning) if warning else result.warnings
    for text in warnings:
        logger.warning("%s, round %d: %s", context.worker, context.round, text)
    return replace(result, warnings=warnings)


def _call(
    train: TrainFunction,
    model: nn.Module,
    initial_weights: Mapping[str, Tensor],
    given: InitialWeights | None,
    context: TrainingContext,
    out_dir: Path,
    logger: logging.Logger,
) -> object:
    if given is not None:
        return call_documented(train.function, context.payload(given), out_dir, logger)
    if initial_weights:
        set_weights(model, initial_weights)
    # After loading: CONTRACT row 31.
    model.to(context.device).train()
    return call_published(train.function, model, context.env(), out_dir, logger)


def _untouched(
    model: nn.Module, initial: Mapping[str, Tensor], returned: Mapping[str, Tensor]
) -> bool:
    """Whether the model still has the global weights, and something else was returned."""
    state = model.state_dict()
    same = all(name in state and torch.equal(state[name].cpu(), initial[name]) for name in initial)
    return same and any(not torch.equal(returned[name], initial[name]) for name in initial)

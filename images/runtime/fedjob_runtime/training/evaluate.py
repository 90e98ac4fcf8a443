"""The metrics of a model on a shard: by the user's fl_validate, or built in."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fedjob_runtime.training.callable_logger import CallableLogger
from fedjob_runtime.training.classification import widened
from fedjob_runtime.training.context import TrainingContext, make_fresh, working_directory
from fedjob_runtime.training.data.dataset import ManifestDataset, count_lines
from fedjob_runtime.training.errors import ImageInvalidError, InvalidResultError
from fedjob_runtime.training.objective import loss_of, measures_of
from fedjob_runtime.training.returns import check_samples, clean_metrics
from fedjob_runtime.training.signatures import call_published
from fedjob_runtime.training.user_code.guard import guarded


class Evaluation(NamedTuple):
    """What a model is worth on a shard.

    Attributes:
        metrics: Finite numbers, without the prefix `val_`.
        samples: How many they are a mean over.
    """

    metrics: dict[str, float]
    samples: int


def evaluate(
    model: nn.Module,
    context: TrainingContext,
    validate_function: Callable[..., Any] | None = None,
    logger: logging.Logger | None = None,
    *,
    generated: bool = False,
) -> Evaluation:
    """Evaluates in eval mode, without gradients; the model is left in the mode it was in.

    Args:
        model: On the context's device, with the weights to evaluate.
        context: data_root is the shard to evaluate on.
        validate_function: The user's fl_validate(model, env, out_dir, logger=None). It returns its
            metrics as {name: float}, or as {"metrics": {...}, "samples": int}. None: loss and
            accuracy over the manifest, built in.
        logger: Given to fl_validate, where it takes one.
        generated: The model is trained by the generated loop (form C): the built-in loss is then
            that loop's binary cross-entropy, else cross-entropy where samples have one label each.

    Raises:
        TrainingError: fl_validate raised or returned no dict; the shard or the model's output do
            not fit.
    """
    logger = logger or logging.getLogger(f"fedjob.training.{context.worker}")
    if validate_function is None:
        folder = _folder_of(type(model))
        with (
            guarded("evaluation", folder, context),
            _eval_mode(model),
            torch.no_grad(),
        ):
            return _built_in(model, context, generated)
    out_dir = make_fresh(context.validate_dir)
    what = f"{validate_function.__name__} in round {context.round}"
    with (
        guarded(what, _folder_of(validate_function), context),
        _eval_mode(model),
        torch.no_grad(),
        working_directory(context.data_root),
    ):
        returned = call_published(
            validate_function, model, context.env(), out_dir, CallableLogger(logger)
        )
    return _taken(returned, context, logger)


def _built_in(model: nn.Module, context: TrainingContext, generated: bool) -> Evaluation:
    # With a constructor that takes no num_classes, only the model's output tells their number.
    classes = context.num_classes or None
    dataset = ManifestDataset(context.data_root, context.manifest_file, classes, context.img_size)
    measures = measures_of(dataset)
    loss_function = loss_of(dataset, cross_entropy=not generated)
    for images, labels in _batches(dataset, context, generated):
        labels = labels.to(context.device)
        logits = model(images.to(context.device))
        if classes is None and not dataset.regression:
            labels = widened(labels, logits)
        measures.add(logits, labels, loss_function(logits, labels))
    metrics, _ = clean_metrics(measures.metrics())
    return Evaluation(metrics, measures.samples)


def _batches(
    dataset: ManifestDataset, context: TrainingContext, generated: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    try:
        yield from DataLoader(dataset, batch_size=context.batch_size)
    except ImageInvalidError as error:
        if generated:
            raise
        # The author's code reads the shards itself: they may hold something else than images.
        raise ImageInvalidError(
            f"{error.problem}, and the built-in evaluation reads images",
            "write fl_validate(model, env, out_dir) into the model file, drop "
            f"spec.shards.validation, or {error.fix}",
        ) from error


def _taken(returned: object, context: TrainingContext, logger: logging.Logger) -> Evaluation:
    if not isinstance(returned, Mapping):
        raise InvalidResultError(
            f"fl_validate returned a {type(returned).__name__}, not a dict",
            'return {"loss": ..., "accuracy": ...}',
            worker=context.worker,
        )
    given = returned.get("metrics", {k: v for k, v in returned.items() if k != "samples"})
    metrics, warnings = clean_metrics(given)
    for text in warnings:
        logger.warning("%s, fl_validate in round %d: %s", context.worker, context.round, text)
    if returned.get("samples") is not None:
        return Evaluation(metrics, check_samples(returned["samples"], context.worker))
    return Evaluation(metrics, count_lines(context.data_root / context.manifest_file) or 1)


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    # Each module's own flag: a frozen BatchNorm stays in eval mode while the rest trains.
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _folder_of(code: Any) -> Path:
    file = getattr(sys.modules.get(code.__module__), "__file__", None)
    return Path(str(file)).resolve().parent

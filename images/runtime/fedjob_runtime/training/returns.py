"""What the training function returns, checked before anything of it counts (CONTRACT section 1)."""

from __future__ import annotations

import logging
import math
import numbers
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from fedjob.reasons import Reason
from fedjob_runtime.training.answers.adapt import adapted, as_tensor
from fedjob_runtime.training.answers.difference import added, looks_like_difference
from fedjob_runtime.training.errors import (
    CheckpointInvalidError,
    InvalidResultError,
    InvalidSamplesError,
    MissingWeightsError,
    UnexpectedTensorError,
)
from fedjob_runtime.training.notes import Note
from fedjob_runtime.training.weights import check_weights, load_checkpoint

logger = logging.getLogger("fedjob.training")

FULL = "full"
DIFF = "diff"
"""What `kind` of an answer may be; the default is `full`."""
MAX_SAMPLES = 2**53
"""FedAvg weighs in float64, where larger counts are not exact."""
MAX_METRICS = 64
MAX_METRIC_NAME = 100

_RETURN = 'return {"weights": model.state_dict(), "samples": len(dataset), "metrics": {...}}'


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """One worker's accepted result of one round.

    Attributes:
        weights: As the global model: its names, shapes, dtypes; on the CPU. Names of it may be
            missing where a part was allowed.
        samples: Its weight in FedAvg, above 0.
        metrics: Finite numbers.
        warnings: What a person should know.
    """

    weights: dict[str, Tensor]
    samples: int
    metrics: dict[str, float]
    warnings: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer has to fit.

    Attributes:
        weights: The global model: names, shapes, dtypes, values. Empty: the job has no model.
        tied: Groups of names that are one tensor in the model.
        partial: A part of the model is an answer (spec.federation.partial, or because the model's
            own state_dict() gives only a part).
        model: The model that the function was given to train; None where it makes its own.
    """

    weights: Mapping[str, Tensor]
    tied: Sequence[Sequence[str]] = ()
    partial: bool = False
    model: nn.Module | None = None


def collect(
    result: object,
    out_dir: Path,
    expected: Expected,
    worker: str,
    data_root: Path | None = None,
) -> TrainingResult:
    """Takes weights, samples and metrics from what a training function returned.

    Args:
        result: `weights` (or `state_dict`), else a `final_checkpoint` path, else the file
            `out_dir/state_dict.pt`; `samples` (or `num_samples`); optional `metrics`; optional
            `kind`: `"diff"` where the weights are to be added to the global model.
        out_dir: The round's folder.
        expected: What the weights have to fit.
        worker: Named in every error.
        data_root: The shard; a checkpoint may lie there too. Default: where `out_dir` is made.

    Raises:
        InvalidResultError: It is not a dict, has no weights, samples is not a whole number above 0,
            or the weights seem to be a difference without `"kind": "diff"`.
        WeightsError: The weights do not fit the model or are not finite.
        CheckpointInvalidError: The file named is not there, not in the two folders, or no weights.
    """
    if not isinstance(result, Mapping):
        raise InvalidResultError(
            f"the training function returned {_article(result)}, not a dict", _RETURN, worker=worker
        )
    reference = expected.weights
    kind = _kind(result, worker)
    given = _weights(result, out_dir, data_root or out_dir.parent.parent, worker)
    samples = check_samples(result.get("samples", result.get("num_samples")), worker)
    weights, notes = adapted(given, reference, expected.tied)
    if kind == DIFF:
        if not reference:
            raise InvalidResultError(
                "there is no global model yet that a difference could be added to",
                "return the weights themselves in round 0",
                worker=worker,
            )
        weights = added(weights, reference)
    checked = check_weights(weights, reference, worker, partial=expected.partial)
    if kind != DIFF and looks_like_difference(checked, reference, expected.model):
        raise InvalidResultError(
            "the weights are near zero beside the global model, as a difference to it is",
            'return model.state_dict() itself, or say so: {"kind": "diff", "weights": ...}',
            worker=worker,
        )
    metrics, dropped = clean_metrics(result.get("metrics"))
    notes += [Note(Reason.METRIC_DROPPED, text) for text in dropped]
    return TrainingResult(checked, samples, metrics, tuple(notes))


def _kind(result: Mapping[str, object], worker: str) -> str:
    kind = result.get("kind", FULL)
    if kind not in (FULL, DIFF):
        raise InvalidResultError(
            f"kind is {kind!r}"[:100] + f", not {FULL!r} or {DIFF!r}",
            f"leave it out for weights, write {DIFF!r} for a difference to the global model",
            worker=worker,
        )
    return str(kind)


def check_samples(value: object, worker: str) -> int:
    """`samples` as an int above 0.

    Args:
        value: An integer of Python, or a tensor or array of one; 3.0 counts as 3, True does not.
        worker: Named in the error.

    Raises:
        InvalidSamplesError: It is anything else.
    """
    given = _single(value)
    samples = 0
    if isinstance(given, numbers.Integral) and not isinstance(given, bool):
        samples = operator.index(given)
    elif isinstance(given, float) and given.is_integer():
        samples = int(given)
    if not 0 < samples <= MAX_SAMPLES:
        what = "is missing" if value is None else f"is {value!r}"[:100]
        raise InvalidSamplesError(
            f"samples {what}, it must be a whole number above 0",
            'return "samples": the number of samples trained on, such as len(dataset)',
            worker=worker,
        )
    return samples


def clean_metrics(metrics: object) -> tuple[dict[str, float], list[str]]:
    """The finite numbers among the metrics, and a warning about each of the others.

    Args:
        metrics: {name: number, or a tensor or array of one}, or None.
    """
    if metrics is None:
        return {}, []
    if not isinstance(metrics, Mapping):
        return {}, [f"metrics is {_article(metrics)}, not a dict: dropped"]
    kept: dict[str, float] = {}
    warnings: list[str] = []
    for name, value in metrics.items():
        number = _number(value)
        if len(warnings) == MAX_METRICS:
            warnings.append(f"more than {MAX_METRICS} metrics cannot be kept: others are dropped")
            break
        if not isinstance(name, str) or not 0 < len(name) <= MAX_METRIC_NAME:
            warnings.append(
                f"a metric's name must be short text, not {_shown(name)}"[:200] + ": dropped"
            )
        elif number is None:
            warnings.append(
                f"metric {name} is not a finite number but {_shown(value)}"[:200] + ": dropped"
            )
        elif len(kept) == MAX_METRICS:
            warnings.append(f"more than {MAX_METRICS} metrics: the others are dropped")
            break
        else:
            kept[name] = number
    return kept, warnings


def _shown(value: object) -> str:
    try:
        return repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or a number of too many digits
        return _article(value)


def _number(value: object) -> float | None:
    value = _single(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _single(value: object) -> object:
    """The number in a tensor, array or numpy scalar of one element; anything else as it is."""
    tensor = as_tensor(value) if hasattr(value, "__array__") else value
    if isinstance(tensor, Tensor) and tensor.numel() == 1 and not tensor.is_meta:
        return tensor.item()
    return value


def _weights(
    result: Mapping[str, object], out_dir: Path, data_root: Path, worker: str
) -> Mapping[str, object]:
    for name in ("weights", "state_dict"):
        given = result.get(name)
        if given is None:
            continue
        if not isinstance(given, Mapping):
            hint = "; call it: model.state_dict()" if callable(given) else ""
            raise UnexpectedTensorError(
                f"{name} is {_article(given)}, not a dict of tensors{hint}", _RETURN, worker=worker
            )
        return given
    checkpoint = result.get("final_checkpoint")
    if checkpoint is not None:
        return _read(_inside(checkpoint, out_dir, data_root, worker), worker)
    fallback = out_dir / "state_dict.pt"
    if fallback.exists():
        return _read(_inside(fallback, out_dir, data_root, worker), worker)
    raise MissingWeightsError(
        "no weights: the result has no weights, state_dict or final_checkpoint (it has "
        f"{', '.join(map(repr, result)) or 'nothing'}) and {fallback} does not exist",
        _RETURN,
        worker=worker,
    )


def _inside(given: object, out_dir: Path, data_root: Path, worker: str) -> Path:
    """The checkpoint's path with links resolved, if it lies in one of the two folders."""
    if not isinstance(given, (str, Path)) or "\0" in str(given):
        raise CheckpointInvalidError(
            f"final_checkpoint is {_article(given)}, not a path",
            "give a path in out_dir",
            worker=worker,
        )
    folders = (out_dir.resolve(), data_root.resolve())
    candidates = [(folder / given).resolve() for folder in folders]
    for path in candidates:
        if path.is_file() and any(path.is_relative_to(folder) for folder in folders):
            return path
    inside = [path for path in candidates if any(path.is_relative_to(f) for f in folders)]
    outside = not inside or any(path.is_file() for path in candidates)
    what = "lies outside out_dir and data_root" if outside else "is not a file"
    raise CheckpointInvalidError(
        f"the checkpoint {given} {what}",
        f"save it in out_dir ({out_dir}) and give that path",
        worker=worker,
    )


def _read(path: Path, worker: str) -> dict[str, Tensor]:
    try:
        return load_checkpoint(path)
    except CheckpointInvalidError as error:
        error.worker = worker
        raise


def _article(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"

"""What the training function returns, checked before anything of it counts (CONTRACT section 1)."""

from __future__ import annotations

import logging
import math
import numbers
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fedjob_runtime.training.errors import (
    CheckpointInvalidError,
    InvalidResultError,
    InvalidSamplesError,
    MissingWeightsError,
    UnexpectedTensorError,
)
from fedjob_runtime.training.weights import check_weights, load_checkpoint

logger = logging.getLogger("fedjob.training")

MAX_SAMPLES = 2**53
"""FedAvg weighs in float64, which counts no further."""
MAX_METRICS = 64
MAX_METRIC_NAME = 100

_RETURN = 'return {"weights": model.state_dict(), "samples": len(dataset), "metrics": {...}}'


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """One worker's accepted result of one round.

    Attributes:
        weights: As the global model: its names, shapes, dtypes; on the CPU.
        samples: Its weight in FedAvg, above 0.
        metrics: Finite numbers.
        warnings: What a person should know, such as `WeightsNotLoaded: ...`.
    """

    weights: dict[str, Tensor]
    samples: int
    metrics: dict[str, float]
    warnings: tuple[str, ...] = ()


def collect(
    result: object,
    out_dir: Path,
    reference: Mapping[str, Tensor],
    worker: str,
    data_root: Path | None = None,
) -> TrainingResult:
    """Takes weights, samples and metrics from what a training function returned.

    Args:
        result: `weights` (or `state_dict`), else a `final_checkpoint` path, else the file
            `out_dir/state_dict.pt`; `samples`; optional `metrics`.
        out_dir: The round's folder.
        reference: The global model's names, shapes and dtypes.
        worker: Named in every error.
        data_root: The shard; a checkpoint may lie there too. Default: where `out_dir` is made.

    Raises:
        InvalidResultError: It is not a dict, has no weights, or samples is no whole number above 0.
        WeightsError: The weights do not fit the model or are not finite.
        CheckpointInvalidError: The file named is not there, not in the two folders, or no weights.
    """
    if not isinstance(result, Mapping):
        raise InvalidResultError(
            f"the training function returned {_article(result)}, not a dict", _RETURN, worker=worker
        )
    weights = _weights(result, out_dir, data_root or out_dir.parent.parent, worker)
    samples = check_samples(result.get("samples"), worker)
    checked = check_weights(weights, reference, worker)
    metrics, warnings = clean_metrics(result.get("metrics"))
    return TrainingResult(checked, samples, metrics, tuple(warnings))


def check_samples(value: object, worker: str) -> int:
    """`samples` as an int above 0.

    Args:
        value: An integer of Python, numpy or a one-element tensor; 3.0 counts as 3, True does not.
        worker: Named in the error.

    Raises:
        InvalidSamplesError: It is anything else.
    """
    given = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
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
        metrics: {name: number or one-element tensor}, or None.
    """
    if metrics is None:
        return {}, []
    if not isinstance(metrics, Mapping):
        return {}, [f"metrics is {_article(metrics)}, not a dict: dropped"]
    kept: dict[str, float] = {}
    warnings: list[str] = []
    for name, value in metrics.items():
        number = _number(value)
        if not isinstance(name, str) or not 0 < len(name) <= MAX_METRIC_NAME:
            warnings.append(f"a metric's name must be short text, not {name!r}"[:200] + ": dropped")
        elif number is None:
            warnings.append(
                f"metric {name} is not a finite number but {value!r}"[:200] + ": dropped"
            )
        elif len(kept) == MAX_METRICS:
            warnings.append(f"more than {MAX_METRICS} metrics: the others are dropped")
            break
        else:
            kept[name] = number
    return kept, warnings


def _number(value: object) -> float | None:
    if isinstance(value, Tensor):
        if value.numel() != 1 or value.is_complex() or value.is_meta:
            return None
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


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

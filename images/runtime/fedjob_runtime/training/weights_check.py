"""Whether weights fit the model: names, shapes, dtypes, finite values; all faults at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from fedjob_runtime.training.errors import (
    DtypeMismatchError,
    EmptyWeightsError,
    MissingTensorError,
    NonFiniteWeightsError,
    ShapeMismatchError,
    UnexpectedTensorError,
    WeightsError,
)
from fedjob_runtime.training.extra_state import is_extra_state
from fedjob_runtime.training.finite import is_finite, readable
from fedjob_runtime.training.portable import portable

SHOWN = 3
"""Faults of one kind that a message spells out."""

_WRAPPERS = {
    "module.": "return model.module.state_dict(): DataParallel put `module.` before every name",
    "_orig_mod.": "return model._orig_mod.state_dict(): torch.compile put `_orig_mod.` before all",
}

_ORDER: tuple[type[WeightsError], ...] = (
    MissingTensorError,
    UnexpectedTensorError,
    ShapeMismatchError,
    DtypeMismatchError,
    NonFiniteWeightsError,
)

_Found = tuple[type[WeightsError], str, str]
"""A kind of fault, the tensor, what is wrong with it."""


def check_names_and_shapes(
    weights: Mapping[str, object],
    reference: Mapping[str, Tensor],
    source: str,
    *,
    partial: bool = False,
) -> None:
    """Checks everything but the values; a tensor may be on any device.

    Args:
        weights: What is to be loaded. Extra state of modules is not checked, and may be missing.
        reference: The model's tensors: names, shapes, dtypes.
        source: Whose they are, for the error.
        partial: They may be a part of the model.

    Raises:
        WeightsError: The subclass of its gravest fault; the message has them all.
    """
    if not weights:
        raise EmptyWeightsError(
            "the weights are empty",
            "give model.state_dict(), all tensors of the model",
            worker=source,
        )
    found = _structure(weights, reference)
    if partial:
        found = [fault for fault in found if fault[0] is not MissingTensorError]
    _refuse(found, weights, reference, source)


def check_weights(
    weights: Mapping[str, object],
    reference: Mapping[str, Tensor],
    worker: str,
    *,
    partial: bool = False,
) -> dict[str, Tensor]:
    """Checks what a worker returned, for FedAvg; nothing of what is refused is averaged.

    Args:
        weights: As returned. A dtype that can be cast to the model's (float64 or float16 for
            float32, not float for int) is cast.
        reference: The global model: names, shapes, dtypes. Where it holds an infinity, such as in
            an attention mask, the same infinity is accepted. Empty: the job has no model, and the
            weights may be any.
        worker: Who returned them.
        partial: They may be a part of the model.

    Returns:
        The tensors in the reference's order and dtypes, on the CPU, detached, contiguous, none
        sharing storage with another; then the extra state of modules.

    Raises:
        WeightsError: The subclass of its gravest fault (missing, unexpected, shape, dtype,
            non-finite); the message names the worker and the tensors.
    """
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    expected_of = reference or {name: torch.zeros_like(value) for name, value in tensors.items()}
    check_names_and_shapes(weights, expected_of, worker, partial=partial)
    given = portable(weights)
    result: dict[str, Tensor] = {}
    found: list[_Found] = []
    for name, expected in expected_of.items():
        if name not in given or is_extra_state(name):
            continue
        value = given[name].to(expected.dtype)
        found += _values(name, given[name], value, expected)
        result[name] = value
    for name, value in given.items():
        if is_extra_state(name):
            found += _values(name, value, value, expected_of.get(name, torch.zeros(())))
            result[name] = value
    _refuse(found, weights, expected_of, worker)
    return result


def _structure(weights: Mapping[str, object], reference: Mapping[str, Tensor]) -> list[_Found]:
    found: list[_Found] = []
    for name, expected in reference.items():
        if is_extra_state(name) or not isinstance(expected, Tensor):
            continue
        if name not in weights:
            found.append((MissingTensorError, name, f"{name} {list(expected.shape)} is missing"))
            continue
        value = weights[name]
        if not isinstance(value, Tensor):
            found.append((UnexpectedTensorError, name, _not_a_tensor(name, value)))
        elif is_lazy(value):
            text = f"{name} gets its shape at the first batch (a lazy module), and there was none"
            found.append((UnexpectedTensorError, name, text))
        elif value.is_meta:
            found.append((UnexpectedTensorError, name, f"{name} is on the meta device: no values"))
        elif value.shape != expected.shape:
            text = f"{name} has shape {list(value.shape)}, the model has {list(expected.shape)}"
            found.append((ShapeMismatchError, name, text))
        elif not torch.can_cast(value.dtype, expected.dtype):
            text = f"{name} is {_short(value)}, the model has {_short(expected)}"
            found.append((DtypeMismatchError, name, text))
    for name, value in weights.items():
        if name not in reference and not is_extra_state(str(name)):
            unknown = isinstance(value, Tensor)
            text = f"the model has no {name}" if unknown else _not_a_tensor(str(name), value)
            found.append((UnexpectedTensorError, str(name), text))
    return found


def _not_a_tensor(name: str, value: object) -> str:
    return f"{name} is a {type(value).__module__}.{type(value).__name__}, not a torch.Tensor"


def _values(name: str, given: Tensor, value: Tensor, expected: Tensor) -> list[_Found]:
    if not (value.is_floating_point() or value.is_complex()):
        if not torch.equal(value.to(given.dtype), given):
            text = f"{name} has values that {_short(expected)} cannot hold"
            return [(DtypeMismatchError, name, text)]
        return []
    if is_finite(value):
        return []
    bad = ~torch.isfinite(readable(value))
    # Some models hold -inf on purpose; NaN never is one.
    if value.shape == expected.shape:
        bad &= readable(value) != readable(expected.detach().cpu())
    count = int(bad.sum())
    if not count:
        return []
    lost = torch.isfinite(readable(given)) & bad
    why = f", {int(lost.sum())} of them overflow {_short(expected)}" if lost.any() else ""
    text = f"{name} has {count} of {value.numel()} values that are NaN or infinite{why}"
    return [(NonFiniteWeightsError, name, text)]


def _refuse(
    found: list[_Found],
    weights: Mapping[str, object],
    reference: Mapping[str, Tensor],
    source: str,
) -> None:
    if not found:
        return
    parts: list[str] = []
    for kind in _ORDER:
        texts = [text for of_kind, _, text in found if of_kind is kind]
        if texts:
            more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
            parts.append(", ".join(texts[:SHOWN]) + more)
    kind, tensor = min(((f[0], f[1]) for f in found), key=lambda fault: _ORDER.index(fault[0]))
    raise kind("; ".join(parts), _fix(kind, weights, reference), worker=source, tensor=tensor)


def _fix(
    kind: type[WeightsError], weights: Mapping[str, object], reference: Mapping[str, Tensor]
) -> str:
    for prefix, fix in _WRAPPERS.items():
        wrapped = all(str(name).startswith(prefix) for name in weights)
        if wrapped and not all(name.startswith(prefix) for name in reference):
            return fix
    if kind is NonFiniteWeightsError:
        return "lower learning_rate, clip gradients, or look for NaN in the data"
    if kind is DtypeMismatchError:
        return "return whole numbers where the model has integers: model.state_dict()"
    if kind is ShapeMismatchError:
        return "build the model with the same model.args and num_classes as the global one"
    if any(not isinstance(value, Tensor) for value in weights.values()):
        return "return tensors, arrays or numbers: model.state_dict()"
    if kind is MissingTensorError and set(weights) <= set(reference):
        return (
            "return all tensors of model.state_dict(); where only a part is trained, such as "
            "adapters, set federation.partial: true"
        )
    return "return all tensors of model.state_dict() and no others"


def _short(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")

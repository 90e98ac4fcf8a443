"""Weights as training functions return them, made to fit the names and types of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy
import torch
from torch import Tensor

from fedjob.reasons import Reason
from fedjob_runtime.training.extra_state import is_extra_state
from fedjob_runtime.training.finite import is_finite
from fedjob_runtime.training.notes import Note

_WRAPPERS = frozenset(["module", "_orig_mod", "_fsdp_wrapped_module"])
"""Parts of names that DistributedDataParallel, torch.compile and FSDP add."""
_SHOWN = 3


def adapted(
    given: Mapping[str, object],
    reference: Mapping[str, Tensor],
    tied: Sequence[Sequence[str]] = (),
) -> tuple[dict[str, object], list[Note]]:
    """Converts what can be converted without losing anything; leaves the rest for the check.

    Args:
        given: As returned: tensors, numpy arrays and scalars, numbers.
        reference: The global model: names, shapes, dtypes.
        tied: Groups of names that are one tensor in the model.

    Returns:
        The weights, and a note for each kind of conversion that a person should know of.
    """
    weights = {str(name): as_tensor(value) for name, value in given.items()}
    notes: list[Note] = []
    weights = _without_wrappers(weights, reference, notes)
    _fill_tied(weights, tied, notes)
    _make_whole(weights, reference, notes)
    return weights, notes


def as_tensor(value: Any) -> Any:
    """A tensor of an array, of a numpy scalar or of a number; anything else as it is."""
    if isinstance(value, Tensor):
        return value
    try:
        if hasattr(value, "__array__"):
            # Copied: torch takes no array that is read-only, reversed or of foreign byte order.
            array = numpy.array(value, order="C")
            return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
        if isinstance(value, (bool, int, float, complex)):
            return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass  # an array of objects or texts, a number above 64 bits: the check names it
    return value


def _without_wrappers(
    weights: dict[str, Any], reference: Mapping[str, Tensor], notes: list[Note]
) -> dict[str, Any]:
    """Gives unknown names the model's name where only wrappers' parts differ, in either."""
    unknown = [n for n in weights if n not in reference and not is_extra_state(n)]
    if not unknown:
        return weights
    by_bare: dict[str, list[str]] = {}
    for name in reference:
        if name not in weights:
            by_bare.setdefault(_bare(name), []).append(name)
    renamed: dict[str, str] = {}
    for name in unknown:
        candidates = by_bare.get(_bare(name), [])
        if len(candidates) == 1 and candidates[0] not in renamed.values():
            renamed[name] = candidates[0]
    if not renamed:
        return weights
    notes.append(
        Note(
            Reason.WRAPPER_PREFIX,
            f"names of the weights were changed to the model's: {_listed(renamed)}; to avoid this, "
            "return the state_dict() of the model itself, not of its wrapper",
        )
    )
    return {renamed.get(name, name): value for name, value in weights.items()}


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _fill_tied(weights: dict[str, Any], tied: Sequence[Sequence[str]], notes: list[Note]) -> None:
    filled: dict[str, str] = {}
    for group in tied:
        twin = next((name for name in group if name in weights), None)
        if twin is None:
            continue
        for name in group:
            if name not in weights:
                weights[name] = weights[twin]
                filled[name] = twin
    if filled:
        pairs = [f"{name} (from {twin})" for name, twin in filled.items()]
        text = f"tied weights that were left out were filled in: {_listed(pairs)}"
        notes.append(Note(Reason.TIED_WEIGHT_FILLED, text))


def _make_whole(
    weights: dict[str, Any], reference: Mapping[str, Tensor], notes: list[Note]
) -> None:
    """Floats for integers, as a loop over `.float()` makes them, where no value has a fraction."""
    converted: list[str] = []
    for name, expected in reference.items():
        value = weights.get(name)
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.is_meta:
            continue
        if expected.is_floating_point() or expected.is_complex() or is_extra_state(name):
            continue
        exact = value.detach().cpu().double()
        whole = exact.to(expected.dtype)
        if is_finite(exact) and torch.equal(whole.double(), exact):
            weights[name] = whole
            converted.append(name)
    if converted:
        text = (
            f"floats with whole values were taken for integers: {_listed(converted)}; to avoid "
            "this, return model.state_dict() as it is"
        )
        notes.append(Note(Reason.DTYPE_CONVERTED, text))


def _listed(names: Iterable[str]) -> str:
    all_names = list(names)
    more = f" and {len(all_names) - _SHOWN} more" if len(all_names) > _SHOWN else ""
    return ", ".join(all_names[:_SHOWN]) + more

"""Whether the training function started from the global weights it was given (CONTRACT row 31).

Two signs, since neither sees everything. The mapping knows whether any tensor was ever taken out of
it; and a model trained on from the global weights still points their way, while one trained from
its own random start is orthogonal to them, as random vectors of many dimensions are.
"""

from __future__ import annotations

import math
import mmap
from collections import OrderedDict
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any

import torch
from torch import Tensor

from fedjob.reasons import Reason
from fedjob_runtime.training.extra_state import decoded
from fedjob_runtime.training.finite import is_finite
from fedjob_runtime.training.notes import Note

MIN_ELEMENTS = 1000
"""Below this many values two random directions are too often alike to tell."""
MAX_COSINE = 0.1
"""Measured on handwritten digits with a CNN, an MLP and a transformer, Adam, AdamW and SGD, 2 and
20 epochs: 0.42 to 1.0 from the global weights, -0.04 to 0.08 from another start."""
MIN_MATRICES = 2
"""A model of one matrix is left alone: it is convex and comes to the same optimum from every start,
and training takes it far from a random one (0.12 measured)."""

MAX_COSINE_UNTOUCHED = 0.4
"""The bound where, besides, the model that was passed in is as it was: both signs together."""


class InitialWeights(dict[str, Tensor]):
    """`{name: Tensor}` that remembers whether a tensor was taken from it.

    It is a dict in every way: `load_state_dict`, `dict()`, `**`, `copy`, `|` and pickling work and
    count as taking; asking for names or the length does not. The tensors are the function's own to
    change. A forked process that takes one is seen too; copies are plain dicts.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """Copies the weights; extra state of modules is as set_extra_state takes it."""
        super().__init__(
            decoded({name: tensor.detach().clone() for name, tensor in weights.items()})
        )
        # One byte shared with forked children, such as the ranks of a multi-GPU training.
        self._flag = mmap.mmap(-1, 1)

    @property
    def was_read(self) -> bool:
        """Whether any tensor was taken."""
        return self._flag[0] != 0

    def _read(self) -> dict[str, Tensor]:
        self._flag[0] = 1
        # dict(self) would come back here.
        return {name: dict.__getitem__(self, name) for name in self}

    def __getitem__(self, name: str) -> Tensor:
        self._flag[0] = 1
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        # Overridden on purpose, though it changes nothing: CPython's dict(x), {**x} and f(**x) take
        # the tensors past __getitem__ from any dict whose __iter__ is the built-in one.
        return super().__iter__()

    def get(self, name: str, default: Any = None) -> Any:
        """As dict.get."""
        self._flag[0] = 1
        return super().get(name, default)

    def items(self) -> ItemsView[str, Tensor]:  # type: ignore[override]
        """As dict.items."""
        self._flag[0] = 1
        return super().items()

    def values(self) -> ValuesView[Tensor]:  # type: ignore[override]
        """As dict.values."""
        self._flag[0] = 1
        return super().values()

    def pop(self, name: str, *default: Any) -> Any:
        """As dict.pop."""
        self._flag[0] = 1
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Tensor]:
        """As dict.popitem."""
        self._flag[0] = 1
        return super().popitem()

    def setdefault(self, name: str, default: Any = None) -> Any:
        """As dict.setdefault."""
        self._flag[0] = 1
        return super().setdefault(name, default)

    def copy(self) -> dict[str, Tensor]:
        """A plain dict with the same tensors."""
        return self._read()

    def __copy__(self) -> dict[str, Tensor]:
        return self._read()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Tensor]:
        copied = {name: tensor.clone() for name, tensor in self._read().items()}
        memo[id(self)] = copied
        return copied

    def __or__(self, other: Any) -> Any:
        return self._read() | other

    def __ror__(self, other: Any) -> Any:
        return other | self._read()

    def __reduce_ex__(self, protocol: Any) -> Any:
        # As load_state_dict's own type, which torch.load takes with weights_only.
        return OrderedDict, (), None, None, iter(self._read().items())


def cosine(weights: Mapping[str, Tensor], initial: Mapping[str, Tensor]) -> float | None:
    """Cosine of the angle between two models' weight matrices, taken as one vector.

    Biases and norms' scales are left out: they start at 0 and 1 in every model, and so are alike in
    models that have nothing to do with each other.

    Returns:
        -1..1, or None where there is less than MIN_ELEMENTS and MIN_MATRICES, or one side is all
        0.
    """
    product = mine = theirs = 0.0
    count = matrices = 0
    for name, start in initial.items():
        if start.dim() < 2 or not start.is_floating_point() or name not in weights:
            continue
        first = start.detach().flatten().float()
        second = weights[name].detach().cpu().flatten().float()
        if not (is_finite(first) and is_finite(second)):
            continue
        product += float(torch.dot(first, second))
        theirs += float(torch.dot(first, first))
        mine += float(torch.dot(second, second))
        count += first.numel()
        matrices += 1
    if count < MIN_ELEMENTS or matrices < MIN_MATRICES or mine == 0 or theirs == 0:
        return None
    return product / math.sqrt(mine * theirs)


def not_loaded_warning(
    given: InitialWeights | None,
    initial: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    function: str,
    untouched: bool = False,
) -> Note | None:
    """A warning for a person where the global weights seem not to have been used; never an error.

    Args:
        given: What form A got, or None where the weights were loaded for the function.
        initial: The global weights; empty where there were none to load.
        weights: What was returned.
        function: The training function's name.
        untouched: The model that was passed in still has the global weights, though others came
            back.
    """
    if not initial:
        return None
    load = 'load them before training: model.set_weights(payload["initial_weights"])'
    if given is not None and not given.was_read:
        text = f'{function} never read payload["initial_weights"]; {load}'
        return Note(Reason.WEIGHTS_NOT_LOADED, text)
    alike = cosine(weights, initial)
    if alike is None or abs(alike) >= (MAX_COSINE_UNTOUCHED if untouched else MAX_COSINE):
        return None
    if given is None:
        load = "train the model that is passed in, and return its weights"
    return Note(
        Reason.WEIGHTS_NOT_LOADED,
        f"the weights that {function} returned have nothing in common with the global weights "
        f"(cosine {alike:.3f}), as if trained from a new start; {load}",
    )

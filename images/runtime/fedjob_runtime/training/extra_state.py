"""A module's extra state (`get_extra_state`) as tensors: so it travels and is saved with the model.

Weights are `{name: Tensor}` everywhere in the runtime and in the store. Extra state that is a
tensor is kept under its own name, `scale._extra_state`. Anything else becomes a document,
`scale._extra_state.json` (uint8), and the tensors in it, `scale._extra_state.tensor0` and so on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fedjob_runtime.training.errors import ModelInvalidError

NAME = "_extra_state"
_DOCUMENT = ".json"
_TENSOR = ".tensor"
_PLAIN = (bool, int, float, str, type(None))


def is_extra_state(name: str) -> bool:
    """Whether the name belongs to a module's extra state, not to a parameter or buffer."""
    return NAME in name.split(".")


def owner_of(name: str) -> str:
    """The extra state that a name is a part of: `a._extra_state` of `a._extra_state.tensor0`."""
    return name.removesuffix(_DOCUMENT).partition(f"{NAME}{_TENSOR}")[0].removesuffix(NAME) + NAME


def encode(name: str, value: object) -> dict[str, Tensor]:
    """Extra state as tensors.

    Args:
        name: Its name in the state dict.
        value: What get_extra_state returned: a tensor, or numbers, texts, None, tensors, lists,
            tuples and dicts of these.

    Returns:
        One entry for a tensor; else the document and one entry for each tensor in it.

    Raises:
        ModelInvalidError: It holds anything else; the message names it and its type.
    """
    if isinstance(value, Tensor):
        return {name: value}
    tensors: list[Tensor] = []
    document = json.dumps(_tagged(name, value, tensors)).encode()
    found = {name + _DOCUMENT: torch.frombuffer(bytearray(document), dtype=torch.uint8)}
    found |= {f"{name}{_TENSOR}{number}": tensor for number, tensor in enumerate(tensors)}
    return found


def decoded(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """A state dict as torch loads it: every extra state is again what get_extra_state returned.

    Args:
        weights: Tensors by name, extra state as `encode` makes it.
    """
    result: dict[str, Any] = {}
    for name, tensor in weights.items():
        if not is_extra_state(name):
            result[name] = tensor
        elif name.endswith(NAME + _DOCUMENT):
            owner = name.removesuffix(_DOCUMENT)
            document = json.loads(bytes(tensor.cpu().tolist()))
            result[owner] = _untagged(document, weights, owner)
        elif name.endswith(NAME):
            result[name] = tensor
    return result


def _tagged(name: str, value: object, tensors: list[Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors.append(value)
        return {"tensor": len(tensors) - 1}
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()  # type: ignore[attr-defined]
    if type(value) in _PLAIN:
        return value
    if isinstance(value, tuple) and type(value) is tuple:
        return {"tuple": [_tagged(name, item, tensors) for item in value]}
    if isinstance(value, list):
        return [_tagged(name, item, tensors) for item in value]
    if isinstance(value, Mapping):
        pairs = value.items()
        return {"dict": [[_tagged(name, k, tensors), _tagged(name, v, tensors)] for k, v in pairs]}
    raise ModelInvalidError(
        f"{name}: get_extra_state returned something with a "
        f"{type(value).__module__}.{type(value).__qualname__}, which cannot travel",
        "return tensors, numbers, texts, None, and lists, tuples and dicts of these",
        tensor=name,
    )


def _untagged(value: Any, weights: Mapping[str, Tensor], owner: str) -> Any:
    if isinstance(value, list):
        return [_untagged(item, weights, owner) for item in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return weights[f"{owner}{_TENSOR}{value['tensor']}"]
    if "tuple" in value:
        return tuple(_untagged(item, weights, owner) for item in value["tuple"])
    pairs = ((_untagged(k, weights, owner), _untagged(v, weights, owner)) for k, v in value["dict"])
    return dict(pairs)

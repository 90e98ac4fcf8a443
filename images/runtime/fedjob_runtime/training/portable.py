"""Tensors as safetensors and the network take them: dense, on the CPU, sharing no storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from fedjob_runtime.training.extra_state import encode, is_extra_state


def portable(state_dict: Mapping[str, object]) -> dict[str, Tensor]:
    """A state dict as safetensors and the network take it.

    Args:
        state_dict: As `model.state_dict()` gives it, extra state of modules included.

    Returns:
        Tensors on the CPU, detached, dense, contiguous, each with a storage of its own (tied
        weights are cloned). A tensor that already is so is passed on without a copy. Extra state is
        encoded as `extra_state` says; any other value that is not a tensor is left out.

    Raises:
        ModelInvalidError: Extra state holds objects that cannot be encoded.
    """
    result: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, value in _flat(state_dict):
        tensor = value.detach()
        if tensor.layout is not torch.strided:
            tensor = tensor.to_dense()
        # Subclasses, such as a module's own parameter type, do not travel.
        tensor = tensor.as_subclass(Tensor).cpu().resolve_conj().resolve_neg()
        storage = tensor.untyped_storage()
        if (
            storage.data_ptr() in storages
            or storage.nbytes() != tensor.nbytes
            or not tensor.is_contiguous()
            or tensor.is_inference()
        ):
            tensor = tensor.clone(memory_format=torch.contiguous_format)
        if tensor.nbytes:
            storages.add(tensor.untyped_storage().data_ptr())
        result[name] = tensor
    return result


def _flat(state_dict: Mapping[str, object]) -> Iterator[tuple[str, Tensor]]:
    for name, value in state_dict.items():
        if isinstance(value, Tensor):
            yield name, value
        elif is_extra_state(name):
            yield from encode(name, value).items()

"""Tensors as safetensors and the network take them: dense, on the CPU, sharing no storage."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def is_extra_state(name: str) -> bool:
    """Whether torch keeps a module's own objects, not a tensor of the model, under this name."""
    return name.rpartition(".")[2] == "_extra_state"


def portable(state_dict: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of a state dict as safetensors and the network take them.

    Args:
        state_dict: As `model.state_dict()` gives it; a module's extra state, which is no tensor, is
            left out.

    Returns:
        Tensors on the CPU, detached, dense, contiguous, each with a storage of its own (tied
        weights are cloned). A tensor that already is so is passed on without a copy.
    """
    result: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, value in state_dict.items():
        if not isinstance(value, Tensor) or is_extra_state(name):
            continue
        dense = value.detach()
        if dense.layout is not torch.strided:
            # Before as_subclass, which a sparse tensor does not have.
            dense = dense.to_dense()
        tensor = dense.as_subclass(Tensor)
        tensor = tensor.cpu().resolve_conj().resolve_neg()
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

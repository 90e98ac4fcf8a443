"""A model's weights: all of them, those that its own `state_dict()` gives, and which are tied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from fedjob_runtime.training.extra_state import decoded, is_extra_state
from fedjob_runtime.training.portable import portable
from fedjob_runtime.training.weights_check import check_names_and_shapes


def set_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Loads all weights into a model, in place; none is left as it was.

    Args:
        model: Any module; on any device.
        weights: Every tensor of the model by name, of its shape; on any device, in any dtype that
            can be cast to the model's. Extra state of modules may be missing.

    Raises:
        WeightsError: Names or shapes do not fit; the message names the tensors. Nothing was loaded.
    """
    own = _tensors(model)
    rest = dict(_beside(model))
    check_names_and_shapes(weights, {**own, **rest}, "")
    with torch.no_grad():
        # First: where state_dict() renames, the names that load_state_dict knows have the last say.
        for name, target in rest.items():
            target.copy_(weights[name])
    sparse = {name: value for name, value in own.items() if value.layout is not torch.strided}
    loaded = {k: v for k, v in decoded(weights).items() if k not in rest and k not in sparse}
    # Not strict: a model loads without the extra state that an answer left out.
    model.load_state_dict(loaded, strict=False)
    for name, target in sparse.items():
        _replace_sparse(model, name, target, weights[name])


def model_weights(model: nn.Module) -> dict[str, Tensor]:
    """All of the model's weights, on the CPU, sharing no storage.

    The extra state of its modules is included, encoded (`extra_state`), and so are parameters and
    buffers that the model's own `state_dict()` leaves out: the global model is complete.
    """
    return portable({**model.state_dict(), **dict(_beside(model))})


def gives_part(model: nn.Module) -> bool:
    """Whether the model's own `state_dict()` leaves parameters or buffers out, as adapters do."""
    return any(True for _ in _beside(model))


def tied_names(model: nn.Module) -> list[tuple[str, ...]]:
    """Groups of names in the state dict that are one tensor."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, value in _tensors(model).items():
        if value.layout is torch.strided and not value.is_meta and value.nbytes:
            key = (value.data_ptr(), tuple(value.shape), value.stride(), value.dtype)
            groups.setdefault(key, []).append(name)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {
        name: value
        for name, value in model.state_dict().items()
        if isinstance(value, Tensor) and not is_extra_state(name)
    }


def _beside(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and persistent buffers that state_dict() gives under no name."""
    own = model.state_dict()
    shared = {
        v.untyped_storage().data_ptr()
        for v in own.values()
        if isinstance(v, Tensor) and v.layout is torch.strided and not v.is_meta
    }
    for prefix, module in model.named_modules():
        transient = module._non_persistent_buffers_set
        buffers = ((n, b) for n, b in module._buffers.items() if n not in transient)
        for short, value in (*module._parameters.items(), *buffers):
            name = f"{prefix}.{short}" if prefix else short
            if value is None or name in own or value.layout is not torch.strided or value.is_meta:
                continue
            if value.untyped_storage().data_ptr() not in shared:
                yield name, value.detach()


def _replace_sparse(model: nn.Module, name: str, target: Tensor, value: Tensor) -> None:
    """Weights travel dense, and torch copies into a sparse buffer only where its pattern fits."""
    owner, _, short = name.rpartition(".")
    dense = value.to_dense() if value.layout is not torch.strided else value
    converted = dense.to(target.device, target.dtype).to_sparse(layout=target.layout)
    buffers = model.get_submodule(owner)._buffers
    if short in buffers:
        buffers[short] = converted
    else:
        model.get_submodule(owner).get_parameter(short).data = converted

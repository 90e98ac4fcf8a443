"""Which tensors of a model can be federated: saved as safetensors, sent, and averaged."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fedjob_runtime.training.errors import ModelInvalidError
from fedjob_runtime.training.extra_state import is_extra_state

AVERAGED = frozenset(
    {
        torch.bool,
        torch.uint8,
        torch.uint16,
        torch.uint32,
        torch.uint64,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.float8_e4m3fn,
        torch.float8_e4m3fnuz,
        torch.float8_e5m2,
        torch.float8_e5m2fnuz,
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.complex64,
    }
)
"""Dtypes that safetensors stores and FedAvg averages. Not complex32 and complex128, which
safetensors does not have, nor packed and exponent-only types, whose mean has no meaning."""

SHOWN = 3
"""Tensors that one message names."""


def require_averageable(state_dict: Mapping[str, object], source: str) -> None:
    """Refuses a model before its first round if a part of its state cannot be averaged.

    Sparse tensors can: they travel dense (`portable`).

    Args:
        state_dict: As `model.state_dict()` gives it; extra state is not looked at.
        source: What gave it, such as the class's name, for the error.

    Raises:
        ModelInvalidError: Names the tensors, with their dtype or layout, and what to use instead.
    """
    found = [
        (name, *fault)
        for name, value in state_dict.items()
        if not is_extra_state(name) and (fault := _fault(value)) is not None
    ]
    if not found:
        return
    texts = [f"{source}.{name} {problem}" for name, problem, _ in found[:SHOWN]]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    fixes = dict.fromkeys(fix for _, _, fix in found)
    raise ModelInvalidError(", ".join(texts) + more, "; ".join(fixes), tensor=found[0][0])


def _fault(value: object) -> tuple[str, str] | None:
    """(what is wrong, what to do) about one entry of a state dict."""
    if not isinstance(value, Tensor):
        what = f"is a {type(value).__name__}, not a tensor"
        return what, "federate the float model and quantise or pack what comes out of it"
    if value.is_meta:
        return "is on the meta device", "build the model on the CPU"
    dtype = str(value.dtype).removeprefix("torch.")
    if value.is_quantized:
        return f"is quantised ({dtype})", "federate the float model and quantise what comes out"
    if value.dtype not in AVERAGED:
        other = "use complex64" if value.is_complex() else "use float32 or an integer dtype"
        return f"is {dtype}, which cannot be saved and averaged", other
    return None

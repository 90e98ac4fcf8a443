"""Tensors as safetensors and the network take them."""

from __future__ import annotations

from pathlib import Path

import torch

from fedjob_runtime.training.weights import (
    digest,
    load_weights,
    portable,
    save_weights,
)


def test_tied_and_viewed_and_inference_tensors_are_given_their_own_storage(tmp_path: Path) -> None:
    shared = torch.arange(12.0)
    with torch.inference_mode():
        made = torch.ones(2)
    given = {"one": shared, "two": shared, "part": shared[3:6], "odd": shared[::2], "inf": made}
    result = portable(given)
    pointers = [tensor.untyped_storage().data_ptr() for tensor in result.values()]
    assert len(set(pointers)) == len(pointers)
    assert not result["inf"].is_inference()
    save_weights(tmp_path / "tied.safetensors", given, {"round": "3"})
    assert digest(load_weights(tmp_path / "tied.safetensors")) == digest(given)

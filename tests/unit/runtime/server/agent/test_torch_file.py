"""The committed model, written as torch.load reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fedjob_runtime.server.agent.torch_file import ExportError, export


def test_model_is_written_by_another_process(tmp_path: Path) -> None:
    weights = {"w": torch.full((2,), 3.0)}
    save_file(weights, tmp_path / "model.safetensors")
    target = tmp_path / "rounds/1/GLOBAL_MODEL.pt"
    export(tmp_path / "model.safetensors", target)
    assert torch.equal(torch.load(target, weights_only=True)["w"], weights["w"])


def test_model_that_cannot_be_converted_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(
        ExportError, match=r"(?s)GLOBAL_MODEL\.pt could not be written: .*; see whether"
    ):
        export(tmp_path / "model.safetensors", tmp_path / "GLOBAL_MODEL.pt")

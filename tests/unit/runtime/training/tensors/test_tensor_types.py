"""Models whose state cannot be averaged are refused before their first round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedjob_runtime.training.errors import ModelInvalidError
from fedjob_runtime.training.model import build_model, load_user_module
from fedjob_runtime.training.tensors.tensor_types import AVERAGED, require_averageable


@pytest.mark.parametrize("dtype", sorted(AVERAGED, key=str), ids=str)
def test_every_averaged_dtype_can_be_saved(dtype: torch.dtype, tmp_path: Path) -> None:
    value = torch.ones(3).to(dtype)
    require_averageable({"t": value}, "Net")
    save_file({"t": value}, tmp_path / "t.safetensors")
    assert load_file(tmp_path / "t.safetensors")["t"].dtype is dtype


UNUSABLE: dict[str, tuple[Callable[[], object], str, str]] = {
    "complex128": (lambda: torch.ones(2).to(torch.complex128), "is complex128", "use complex64"),
    "complex32": (lambda: torch.ones(2).to(torch.complex32), "is complex32", "use complex64"),
    "meta": (lambda: torch.ones(2, device="meta"), "is on the meta device", "on the CPU"),
    "qint8": (
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "is quantised (qint8)",
        "federate the float model",
    ),
    "packed": (lambda: torch.qint8, "is a dtype, not a tensor", "federate the float model"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", UNUSABLE)
def test_other_tensors_are_named_with_their_dtype_and_a_fix(kind: str) -> None:
    make, problem, fix = UNUSABLE[kind]
    with pytest.raises(ModelInvalidError) as caught:
        require_averageable({"fine": torch.ones(1), "spectral": make()}, "Net")
    assert f"Net.spectral {problem}" in str(caught.value)
    assert fix in str(caught.value)
    assert caught.value.tensor == "spectral"


def test_all_tensors_are_named_at_once_and_extra_state_is_left_alone() -> None:
    state = {f"t{i}": torch.ones(1, dtype=torch.complex128) for i in range(5)}
    with pytest.raises(ModelInvalidError, match=r"Net\.t0 .*, Net\.t1 .*, Net\.t2 .* and 2 more"):
        require_averageable(state, "Net")
    require_averageable({"a.weight": torch.ones(1), "a._extra_state": {"x": 1}}, "Net")


SPECTRAL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.register_buffer("adjacency", torch.eye(8).to_sparse())
        self.spectral = nn.Parameter(torch.ones(3, dtype=torch.complex128))
"""


def test_a_model_is_refused_where_it_is_built(tmp_path: Path) -> None:
    """shared/field/complex128 ran into minutes of retries."""
    (tmp_path / "model_def.py").write_text(SPECTRAL)
    module = load_user_module(tmp_path, "model_def")
    with pytest.raises(ModelInvalidError, match=r"^Net\.spectral is complex128"):
        build_model(module, "Net", {}, 0)

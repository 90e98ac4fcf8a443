"""The initial global model: the author's class, or a checkpoint of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nvflare.apis.fl_context import FLContext
from safetensors.torch import save_file

from fedjob_runtime.protocol import ENV_HANDOVER, ENV_JOB_FOLDER
from fedjob_runtime.server.job_process.persistor import ModelPersistor

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, width, num_classes=1):
        super().__init__()
        self.fc = nn.Linear(width, num_classes)
"""


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    custom = tmp_path / "job/app/custom"
    custom.mkdir(parents=True)
    (custom / "model_def.py").write_text(NET)
    (tmp_path / "shared/orders").mkdir(parents=True)
    monkeypatch.setenv(ENV_JOB_FOLDER, str(tmp_path / "job"))
    monkeypatch.setenv(ENV_HANDOVER, str(tmp_path / "shared"))
    return tmp_path / "shared/orders"


@pytest.mark.usefixtures("orders")
def test_two_starts_begin_with_the_same_weights() -> None:
    def load() -> dict[str, torch.Tensor]:
        persistor = ModelPersistor("Net", {"width": 4}, num_classes=3)
        weights: dict[str, torch.Tensor] = persistor.load_model(FLContext())["weights"]
        return weights

    first, second = load(), load()
    assert first["fc.weight"].shape == (3, 4)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_checkpoint_is_the_initial_model(orders: Path) -> None:
    given = {"fc.weight": torch.full((1, 4), 2.0), "fc.bias": torch.zeros(1)}
    save_file(given, orders / "checkpoint.safetensors")
    weights = ModelPersistor("Net", {"width": 4}).load_model(FLContext())["weights"]
    assert torch.equal(weights["fc.weight"], given["fc.weight"])

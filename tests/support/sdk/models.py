"""A model file as a Python user has it beside their script."""

from __future__ import annotations

import zipfile
from pathlib import Path

MODEL_DEF = """import torch
from torch import nn

from scaling import SCALE


class Net(nn.Module):
    def __init__(self, num_classes=2, width=3):
        super().__init__()
        self.layer = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.layer(x * SCALE)


def fl_train_model(payload):
    weights = {name: value + 1 for name, value in payload["initial_weights"].items()}
    return {"weights": weights, "samples": 5, "metrics": {"loss": 0.5}}
"""
SCALING = "SCALE = 0.5\n"
"""scaling.py, which model_def.py imports."""


def write_model(folder: Path) -> Path:
    """Write model_def.py and scaling.py; returns the model file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scaling.py").write_text(SCALING)
    path = folder / "model_def.py"
    path.write_text(MODEL_DEF)
    return path


def write_shards(folder: Path, names: tuple[str, ...] = ("site-a", "site-b")) -> Path:
    """Shards that only the training function reads; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as file:
            file.writestr("numbers.txt", name)
    return folder

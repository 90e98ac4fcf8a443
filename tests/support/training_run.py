"""A model file, a shard and a training context, for tests that run the author's training code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from fedjob_runtime.training.returns import TrainingResult

NET = """
import torch
from torch import nn

CALLS = []

class Net(nn.Module):
    def __init__(self, num_classes=2):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.norm = nn.BatchNorm1d(12)
        self.head = nn.Linear(12, num_classes)

    def forward(self, x):
        return self.head(self.norm(self.pool(x).flatten(1)))

"""
"""A model for images of any size; training functions leave what they saw in CALLS."""

DENSE_NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, hidden=3, num_classes=2):
        super().__init__()
        self.body = nn.Linear(4, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.head = nn.Linear(hidden, num_classes)

    def forward(self, x):
        return self.head(self.norm(self.body(x)))
"""
"""A model with an argument of its own, `hidden`."""

OK = '    return {"weights": Net().state_dict(), "samples": 3, "metrics": {"loss": 0.5}}\n'
"""The last line of a form A training function that returns a good result."""

EXTRA = {"alpha": 0.5, "names": ["a"]}
"""`training.extra` of the context."""

Train = Callable[..., TrainingResult]
"""Writes a model_def.py and runs its training function."""


def calls() -> list[Any]:
    """What the training function of the loaded model_def.py has left."""
    return list(sys.modules["model_def"].CALLS)


def weights_like_a_model() -> dict[str, torch.Tensor]:
    """Global weights of four types."""
    return {
        "a": torch.zeros(2, 3),
        "b": torch.zeros(3, dtype=torch.bfloat16),
        "count": torch.tensor(4, dtype=torch.int64),
        "mask": torch.tensor([True, False]),
    }


def write_shard(root: Path, multi: bool = False, samples: int = 9) -> None:
    """Red and blue images of 6 x 6, labelled by color, in the manifest `m.ndjson`."""
    lines = []
    for i in range(samples):
        Image.new("RGB", (6, 6), (250, 0, 0) if i % 2 else (0, 0, 250)).save(root / f"{i}.png")
        lines.append(json.dumps({"id": i, "uri": f"{i}.png", "y": [i % 2] if multi else i % 2}))
    (root / "m.ndjson").write_text("\n".join(lines) + "\n")


def write_labelled(root: Path, labels: list[Any], name: str = "manifest.ndjson") -> None:
    """One image of 4 x 4 for each label, and a manifest."""
    lines = []
    for i, y in enumerate(labels):
        Image.new("RGB", (4, 4), (i * 40 % 256, 0, 0)).save(root / f"{i}.png")
        lines.append(json.dumps({"id": f"s{i}", "uri": f"{i}.png", "y": y, "meta": {"a": 1}}))
    (root / name).write_text("\n".join(lines) + "\n")

"""Writes the result as torch.load reads it: `python -m ...torch_export SAFETENSORS PT`.

A command of its own, so that the supervisor never imports torch. It is needed only when a server
starts after the last round was committed; else the job process writes the file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch import Tensor

from fedjob_runtime.training.weights import load_weights


def save_torch(target: Path, weights: dict[str, Tensor]) -> None:
    """Writes a state dict in one step, loadable with weights_only."""
    scratch = target.with_suffix(".tmp")
    with open(scratch, "wb") as file:
        torch.save(weights, file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(target)


if __name__ == "__main__":
    save_torch(Path(sys.argv[2]), load_weights(Path(sys.argv[1])))

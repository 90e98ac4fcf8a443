"""Writes the result as torch.load reads it: `python -m ...torch_export SAFETENSORS PT`.

A command of its own, so that the agent never imports torch. It is needed only when a server starts
after the last round was committed; else the job process writes the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from fedjob.atomic_files import replacing
from fedjob_runtime.training.extra_state import decoded
from fedjob_runtime.training.weights import load_weights


def save_torch(target: Path, weights: dict[str, Tensor]) -> None:
    """Writes a state dict in one step, loadable with weights_only."""
    with replacing(target) as scratch, open(scratch, "wb") as file:
        torch.save(decoded(weights), file)


if __name__ == "__main__":
    save_torch(Path(sys.argv[2]), load_weights(Path(sys.argv[1]), may_be_empty=True))

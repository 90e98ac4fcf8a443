"""`python -m fedjob_runtime.server.publish SAFETENSORS PT`: the result as torch.load reads it.

A command of its own, so that the supervisor never imports torch.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from fedjob_runtime.training.weights import load_weights


def main(source: Path, target: Path) -> None:
    """Writes the state dict in `source` to `target`, loadable with weights_only."""
    scratch = target.with_suffix(".tmp")
    with open(scratch, "wb") as file:
        torch.save(load_weights(source), file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

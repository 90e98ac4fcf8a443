"""Has the last model written as torch.load reads it, by a process that imports torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fedjob.errors import FedjobError


class ExportError(FedjobError):
    """The model cannot be written in the other form."""


def export(model: Path, target: Path) -> None:
    """Writes `target` from a safetensors file.

    Needed only when a server starts after the last round was committed; else the job process writes
    the file.

    Raises:
        ExportError: The model cannot be read, or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    module = "fedjob_runtime.server.job_process.torch_export"
    command = [sys.executable, "-m", module, str(model), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(
            f"GLOBAL_MODEL.pt could not be written: {done.stderr.strip()[-500:]}; "
            "see whether the server's disk is full, and start it again"
        )

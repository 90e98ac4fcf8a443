"""Running a job of examples/ as its README says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.repository import ROOT

EXAMPLES = ROOT / "examples"


def make_shards(name: str, out: Path) -> Path:
    """Runs the example's make_shards.py; the folder of its ZIPs."""
    program = EXAMPLES / name / "make_shards.py"
    subprocess.run([sys.executable, program, "--out", out], check=True, capture_output=True)
    return out


def run_example(
    name: str, folder: Path, *options: str, model: Path | None = None
) -> list[dict[str, Any]]:
    """Makes the shards and runs the job with its model folder; the rounds of its result.

    Args:
        name: Folder below examples/.
        folder: Where shards and results go.
        options: More options of `fedjob run`.
        model: What --model-file names; by default the example's `model` folder.
    """
    shards = make_shards(name, folder / "shards")
    command = [sys.executable, "-c", "from fedjob.cli import main; main()", "run"]
    command += [str(EXAMPLES / name / "job.yaml"), "--shards", str(shards)]
    command += ["--model-file", str(model or EXAMPLES / name / "model")]
    command += ["--out", str(folder / "out"), "--json", *options]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env=os.environ.copy()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((folder / "out/result.json").read_text())
    assert result["state"] == "Complete", result
    for file in ("model.safetensors", "GLOBAL_MODEL.pt", "report.html"):
        assert (folder / "out" / file).stat().st_size > 1000, file
    rounds: list[dict[str, Any]] = result["rounds"]
    return rounds


def metric_by_round(rounds: list[dict[str, Any]], name: str) -> list[float]:
    """One metric over the rounds."""
    return [line["metrics"][name] for line in rounds]

"""The SDK's tutorial, cell by cell, as a data scientist runs it in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.sdk.compat_scripts import NOTEBOOK_RUNNER
from support.sdk.tutorial_cells import NOTEBOOK

pytestmark = pytest.mark.federation


def test_notebook_of_the_tutorial_runs_and_learns(tmp_path: Path) -> None:
    """y = 2 x + 1 at 10."""
    notebook = json.loads(NOTEBOOK.read_text())
    source = ["print('predicted', model(torch.tensor([[10.0]])).item())"]
    notebook["cells"].append({"cell_type": "code", "source": source})
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK_RUNNER],
        cwd=tmp_path,
        input=json.dumps(notebook),
        capture_output=True,
        text=True,
        env={**os.environ, "IPYTHONDIR": str(tmp_path / ".ipython")},
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Complete, round 3/3" in done.stdout
    value = float(done.stdout.rpartition("predicted ")[2].split()[0])
    assert 18 < value < 24, done.stdout
    assert (tmp_path / "fedjob-out" / "line" / "report.html").is_file()

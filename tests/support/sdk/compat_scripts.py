"""Runs the scripts of tests/compat_scripts as their authors do, on any engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from support.repository import ROOT

SCRIPTS = ROOT / "tests" / "compat_scripts"
NOTEBOOK_RUNNER = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in json.load(sys.stdin)["cells"]:
    if cell["cell_type"] == "code":
        shell.run_cell("".join(cell["source"]), store_history=True).raise_error()
"""
"""What a kernel does with the cells; nbconvert and a kernel would be 30 packages more."""

EXPECTED: Mapping[str, tuple[str, ...]] = {
    "digits_file.py": (
        "status Complete",
        "rounds 2 ['loss']",
        "weights ['layer.bias', 'layer.weight']",
        "folder ['GLOBAL_MODEL.pt', 'model.safetensors', 'report.html', 'result.json']",
    ),
    "class_in_script.py": ("status Complete", "weights ['layers.0.bias', 'layers.0.weight'"),
    "warm_start.py": ("status Complete", "weight [[4.0, 4.0]]"),
    "builder_and_mean.py": (
        "scripts ['fedjob_executor.py', 'fedjob_persistor.py', 'model_def.py']",
        "aggregator ['model_def.FirstAnswer']",
        "status Complete",
        "value 10.0",
    ),
    "notebook.ipynb": (
        "refused sftp_key_file: SFTP uploads are not supported; leave it out: shards go to the "
        "job's S3 store",
        "status Complete",
        "weights ['layer.bias', 'layer.weight']",
    ),
}
"""Script to what it must print."""


def copy_scripts(folder: Path) -> None:
    """Put the scripts, and two shards of numbers that all of them share, into an empty folder."""
    for path in SCRIPTS.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    shards = folder / "shards"
    shards.mkdir()
    for number in range(2):
        rows = [f"{row} {number} {2 * row + number}" for row in range(4)]
        with zipfile.ZipFile(shards / f"site-{number}.zip", "w") as file:
            file.writestr("numbers.txt", "\n".join(rows))


def start(script: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a script in its folder.

    Args:
        script: A name of `EXPECTED`.
        folder: From `copy_scripts`.
        **environment: Decides where its job runs: FEDJOB_ENGINE, KUBECONFIG.
    """
    notebook = script.endswith(".ipynb")
    command = ["-c", NOTEBOOK_RUNNER] if notebook else [script]
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "IPYTHONDIR": str(folder / ".ipython"), **environment},
    )
    assert process.stdin is not None
    if notebook:
        process.stdin.write(json.dumps(json.loads((folder / script).read_text())))
    process.stdin.close()
    return process


def check(script: str, process: subprocess.Popen[str]) -> str:
    """Wait for a script's end, and check what it printed; returns it."""
    assert process.stdout is not None
    with process:
        output = process.stdout.read()
    assert process.returncode == 0, f"{script}:\n{output}"
    for text in EXPECTED[script]:
        assert text in output, f"{script} printed:\n{output}"
    return output

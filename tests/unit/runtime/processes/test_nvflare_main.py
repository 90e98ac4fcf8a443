"""A program of NVFlare's ends when it ends, with its code, whatever threads it leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LEAVES_A_THREAD = """
import sys, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
print(sys.argv[1:], __name__, flush=True)
{end}
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [("sys.exit(101)", 101), ("sys.exit()", 0), ("", 0), ("sys.exit('no')", 1), ("1 / 0", 1)],
)
def test_it_ends_with_its_code(tmp_path: Path, end: str, code: int) -> None:
    (tmp_path / "program.py").write_text(LEAVES_A_THREAD.format(end=end))
    command = [
        sys.executable,
        "-m",
        "fedjob_runtime.processes.nvflare_main",
        "program",
        "-m",
        "site",
    ]
    runtime = Path(__file__).parents[4] / "images/runtime"
    done = subprocess.run(
        command,
        env={"PYTHONPATH": f"{runtime}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code
    assert "['-m', 'site'] __main__" in done.stdout
    assert ("ZeroDivisionError" in done.stderr) == (end == "1 / 0")

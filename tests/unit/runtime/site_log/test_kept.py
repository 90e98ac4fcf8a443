"""A process keeps its log where its pod asks for that, whatever its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fedjob_runtime.site_log.kept import kept_log

PROGRAM = """
import sys
from pathlib import Path
from fedjob_runtime.site_log.kept import kept_log
out = Path(sys.argv[1]) / "sent"
def send(data):
    out.write_bytes(data)
    return True
with kept_log(Path(sys.argv[1]), send, print):
    print("hello")
    {end}
"""


@pytest.mark.parametrize(
    ("end", "code"), [("pass", 0), ("sys.exit(3)", 3), ("raise ValueError('x')", 1)]
)
def test_the_end_of_the_log_is_sent(tmp_path: Path, end: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout.startswith("hello")
    assert (tmp_path / "sent").read_text().startswith("hello")


def test_without_a_place_nothing_is_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with kept_log(tmp_path, None, print):
        print("hello", flush=True)
    assert capfd.readouterr().out == "hello\n"
    assert list(tmp_path.iterdir()) == []

"""Captured output reaches both the container's log and a file of bounded size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fedjob_runtime.site_log.capture import LogCapture

PROGRAM = """
import subprocess, sys
from pathlib import Path
from fedjob_runtime.site_log.capture import LogCapture
capture = LogCapture(Path(sys.argv[1]), int(sys.argv[2]))
print("before")
with capture:
    print("own")
    print("error", file=sys.stderr)
    subprocess.run([sys.executable, "-c", "print('child')"], check=True)
    {inside}
print("after")
print(capture.written, file=sys.stderr)
"""


def run(path: Path, inside: str = "pass", limit: int = 1000) -> tuple[str, str]:
    """Output of a process that captures; its stdout and stderr."""
    program = PROGRAM.format(inside=inside)
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(limit)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


def test_output_of_the_process_and_its_children_is_kept_and_still_printed(tmp_path: Path) -> None:
    path = tmp_path / "log" / "site.log"
    out, err = run(path)
    assert sorted(out.split()) == ["after", "before", "child", "error", "own"]
    assert sorted(path.read_text().split()) == ["child", "error", "own"]
    assert err.strip() == str(len(path.read_bytes()))


def test_a_second_start_in_the_same_folder_appends(tmp_path: Path) -> None:
    path = tmp_path / "site.log"
    run(path)
    run(path)
    assert path.read_text().split().count("own") == 2


def test_only_the_last_bytes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "site.log"
    out, _ = run(path, "[print(f'{number:09}', flush=True) for number in range(500)]")
    assert "000000000" in out
    assert "000000499" in out
    tail = LogCapture(path, 1000).tail()
    assert 400 < len(tail) <= 1000
    assert tail.endswith(b"000000499\n")
    on_disk = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert on_disk <= 1000


def test_a_child_that_lives_on_does_not_hold_the_process(tmp_path: Path) -> None:
    inside = (
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " start_new_session=True)"
    )
    program = PROGRAM.format(inside=inside) + "\nsys.stdout.flush()\nimport os\nos._exit(0)\n"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "site.log"), "1000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.wait(30) == 0
    assert "own" in (tmp_path / "site.log").read_text()


def test_a_log_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert LogCapture(tmp_path / "site.log").tail() == b""

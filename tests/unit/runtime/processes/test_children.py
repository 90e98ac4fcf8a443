"""Trees of processes die together."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from fedjob_runtime.processes.children import descendants, kill_tree

FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_grandchild_in_a_session_of_its_own_is_found_and_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        grandchild = int(parent.stdout.readline())
    assert grandchild in descendants(parent.pid)
    assert parent.pid in descendants(os.getpid())
    kill_tree(parent)
    deadline = time.monotonic() + 30
    while alive(grandchild):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kill_tree(parent)  # a second call does nothing

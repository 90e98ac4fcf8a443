"""Find and kill every process of a run, however deep, by a mark in its environment; also the guard.

Process groups are not enough: NVFlare starts job processes in sessions of their own, which outlive
the group of the command that started them. Every process of a run inherits two variables; a process
that has one of them is the run's.

Run as a script (`python -I -S orphans.py RUN_ID`) this file is the guard: its standard input is a
pipe whose other end only the run holds, so it reads the end of the file exactly when the run is
gone, even by kill -9, and then ends what the run has left. Hence the standard library only, and no
psutil: both users of `marked` share this one scan.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

RUN_ID = "FEDJOB_RUN_ID"
"""Unique to one `fedjob run`."""
RUN_FOLDER = "FEDJOB_RUN_FOLDER"
"""The folder it runs in: finds what an earlier, killed run has left there."""


def marked(variable: str, value: str) -> list[int]:
    """Living processes (ids) whose environment at start had `variable=value`; not this process."""
    mark = f"{variable}={value}".encode()
    found: list[int] = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if not name.isdigit() or int(name) == os.getpid():
            continue
        # A process of another user, or one that has just ended.
        with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
            if mark in file.read().split(b"\0"):
                found.append(int(name))
    return found


def kill_marked(variable: str, value: str, rounds: int = 50) -> int:
    """SIGKILL every marked process until none is left.

    Args:
        variable: RUN_ID or RUN_FOLDER.
        value: Its value.
        rounds: Times to look again, 0.1 s apart: a process killed may have just started another.

    Returns:
        How many processes were killed.
    """
    killed: set[int] = set()
    for _ in range(rounds):
        # A zombie has an empty environment and is not found.
        pids = marked(variable, value)
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.1)
    return len(killed)


def guard(run_id: str) -> None:
    """Wait until the run that holds our standard input is gone, then kill what it has left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    while sys.stdin.buffer.read(1):
        pass
    kill_marked(RUN_ID, run_id)


if __name__ == "__main__":
    guard(sys.argv[1])

"""Children that must not outlive their parent, and trees of them that must die together.

NVFlare starts each job process in a session of its own (posix_spawn with setsid), so killing a
parent's process group leaves its job processes running; and a job process whose parent was killed
keeps running for up to a minute. Both would train a round twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Has the kernel kill this process when the thread that made it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start_child(
    command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Starts a command in a session of its own that the kernel kills when this process dies.

    Call it from the main thread: the kernel watches the thread that started the child.
    """
    return subprocess.Popen(
        list(command), env=dict(env), cwd=cwd, start_new_session=True, preexec_fn=die_with_parent
    )


def exit_when_orphaned(period: float = 0.5) -> None:
    """Ends this process at once when the process that started it has ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(period)
        os._exit(1)

    threading.Thread(target=watch, name="orphan-watch", daemon=True).start()


def descendants(pid: int) -> list[int]:
    """Every living process below `pid`, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            # A process may end between the listing and the reading.
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kills a child and everything below it, and waits for the child."""
    targets = [process.pid, *descendants(process.pid)] if process.poll() is None else []
    for pid in targets:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()

"""The fork server that the federations of these tests share, and the environment of processes."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
import uuid
from pathlib import Path

from fedjob_runtime.processes.children import start_child
from support.repository import ROOT

_OWN = (f"{ROOT}/sdk", f"{ROOT}/images/runtime", f"{ROOT}/operator")
HERE = ":".join(filter(None, (*_OWN, os.environ.get("PYTHONPATH"))))
"""PYTHONPATH of processes: this checkout, then what the tests or `make bench` were given."""


@functools.cache
def shared_fork_server() -> tuple[int, str]:
    """(process id, name) of the fork server of all federations of these tests; it dies with them.

    As in a local run; in a pod each site has its own.
    """
    name = f"fedjob-test-{uuid.uuid4().hex}"
    command = [sys.executable, "-m", "fedjob_runtime.processes.fork_server", name]
    process = start_child(command, {**environment(), "PYTHONPATH": HERE})
    atexit.register(lambda: process.kill() or process.wait())
    return process.pid, name


def environment() -> dict[str, str]:
    """This process's, without keys of a store."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    return {**env, "OMP_NUM_THREADS": "1"}


def command_line(pid: int) -> str:
    """Of a process; empty when it has just ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""

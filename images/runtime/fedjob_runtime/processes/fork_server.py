"""A process that has imported torch and NVFlare, and forks a job process whenever it is asked to.

    python -m fedjob_runtime.processes.fork_server NAME

NVFlare starts a new Python for every site in every segment, and each imports torch again, which
takes longer than everything else that a job process does before it trains. A forked process has it
imported, and shares its memory. One fork server serves a pod, or all sites of a local run
(`fork_client` is the other side).

NAME is that of an abstract Unix socket, which disappears with the process. Only processes of the
same user are served. A request must be a `python -m` command, as JSON; the two files sent with it
become the new process's output. The answer is `{"pid": 7}` or `{"refused": "why"}`, and at the
process's end `{"code": 0}`, negative for a signal. The client ends the process by closing the
socket, also by dying: so no job process outlives NVFlare's parent process.

Single-threaded, and gRPC and CUDA are not initialised before a fork: neither survives one.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from setproctitle import setproctitle

from fedjob_runtime.processes.children import die_with_parent
from fedjob_runtime.processes.run_module import run_module

ROOM = "." * 4000
"""A placeholder argument: setproctitle writes the command lines of forked processes over it."""
LARGEST = 2**20
"""Bytes that a request may have: a command line and an environment."""
MODULES = (
    "fedjob_runtime.processes.torch_import",  # first: see there
    "fedjob_runtime.server.job_process.controller",
    "fedjob_runtime.server.job_process.persistor",
    "fedjob_runtime.worker.executor",
    "fedjob_runtime.worker.tensor_codec",
    "nvflare.private.fed.app.client.worker_process",
    "fedjob_runtime.server.job_process.main",
)
"""What job processes of either side import."""
FIXED_SEED = 67280421310721
"""The seed of torch's CPU generator in every process, until torch draws one."""
_STARTUP_MODULES = {"sitecustomize", "usercustomize"}


@dataclass(frozen=True, slots=True)
class Request:
    """A process to fork.

    Attributes:
        argv: The command line: `PYTHON -m MODULE ...`.
        env: The complete environment.
        cwd: The working directory.
        output: File descriptors for standard output and error; closed after the fork.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str
    output: list[int]


@dataclass(slots=True)
class _Job:
    pid: int
    connection: socket.socket
    ended: bool = False


@dataclass(slots=True)
class ForkServer:
    """Serves a listening socket.

    Attributes:
        listener: Of type SOCK_SEQPACKET.
        path: Entries of PYTHONPATH when this process imported its modules.
    """

    listener: socket.socket
    path: tuple[str, ...] = ()
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def serve(self) -> Request:
        """Serves for ever; returns only in a forked process, with what it has to run."""
        self._selector.register(self.listener, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self.listener:
                    self._accept()
                elif isinstance(key.fileobj, int):
                    self._ended(key.fileobj, key.data)
                elif key.data is not None:
                    # A client sends one request; this is the end of its connection. The end of
                    # its process may have come with it, and then everything is closed.
                    if not key.data.ended:
                        self._kill(key.data)
                else:
                    request = self._asked(key.fileobj)  # type: ignore[arg-type]
                    if request is not None:
                        return request

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        size = struct.calcsize("3i")
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        _, uid, _ = struct.unpack("3i", credentials)
        if uid != os.getuid():
            connection.close()
            return
        self._selector.register(connection, selectors.EVENT_READ)

    def _asked(self, connection: socket.socket) -> Request | None:
        """Forks: the request in the new process, None in this one."""
        output: list[int] = []
        try:
            body, output, _, _ = socket.recv_fds(connection, LARGEST, 2)
            request = Request(output=output, **json.loads(body)) if body else None
        except (OSError, ValueError, TypeError):
            request = None
        refusal = "not a request" if request is None else self._refusal(request)
        if request is None or refusal:
            self._selector.unregister(connection)
            _say(connection, {"refused": refusal})
            connection.close()
        else:
            pid = _fork()
            if pid == 0:
                self._close_all()
                return request
            job = _Job(pid, connection)
            self._selector.modify(connection, selectors.EVENT_READ, job)
            self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, job)
            _say(connection, {"pid": pid})
        for descriptor in output:
            os.close(descriptor)
        return None

    def _refusal(self, request: Request) -> str:
        if request.argv[1:2] != ["-m"] or len(request.argv) < 3:
            return "only python -m MODULE can be forked"
        known = {*self.path, *sys.path}
        for entry in [e for e in _entries(request.env) if e not in known]:
            taken = _modules(entry) & ({*sys.modules} | _STARTUP_MODULES)
            if taken:
                # The module imported here would be used in place of the author's.
                return f"{entry} has modules of names that are imported already: {sorted(taken)}"
        return ""

    def _kill(self, job: _Job) -> None:
        # Not reaped yet, so the id cannot belong to another process.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(job.pid, signal.SIGKILL)
        self._selector.unregister(job.connection)

    def _ended(self, pidfd: int, job: _Job) -> None:
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(job.pid, 0)
        job.ended = True
        with contextlib.suppress(KeyError):
            self._selector.unregister(job.connection)
        _say(job.connection, {"code": os.waitstatus_to_exitcode(status)})
        job.connection.close()

    def _close_all(self) -> None:
        """Closes, in a new process, the descriptors that belong to the server."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, int):
                os.close(key.fileobj)
            elif isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()


def become(request: Request, path: tuple[str, ...]) -> None:
    """Makes this process equal to a new Python with the command; does not return."""
    null = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((null, *request.output)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request.cwd)
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ.clear()
    os.environ.update(request.env)
    entries = _entries(request.env)
    sys.path[:] = [request.cwd, *entries, *(p for p in sys.path[1:] if p not in {*path, *entries})]
    setproctitle(" ".join(request.argv))
    _redraw(request.env.get("OMP_NUM_THREADS"), threads)
    run_module(request.argv[2:])


def _redraw(threads: str | None, before: str | None) -> None:
    """Redraws what torch and numpy fixed at their import: else all workers would draw alike.

    Python's own random reseeds itself after a fork.
    """
    import numpy
    import torch

    numpy.random.seed()
    if torch.initial_seed() != FIXED_SEED:
        torch.default_generator.seed()
    if threads != before and threads is not None and threads.isdecimal() and int(threads) > 0:
        torch.set_num_threads(int(threads))


def _import_all() -> None:
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def _fork() -> int:
    parent = os.getpid()
    with warnings.catch_warnings():
        # OpenBLAS has threads, and handles them around a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.setsid()
        die_with_parent()
        if os.getppid() != parent:
            os._exit(1)
    return pid


def _say(connection: socket.socket, answer: Mapping[str, Any]) -> None:
    # The client may be gone.
    with contextlib.suppress(OSError):
        connection.send(json.dumps(answer).encode())


def _entries(env: Mapping[str, str]) -> list[str]:
    return [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _modules(folder: str) -> set[str]:
    """Names that can be imported from a folder."""
    try:
        return {
            path.name.split(".")[0]
            for path in Path(folder).iterdir()
            if path.suffix in (".py", ".so") or (path / "__init__.py").is_file()
        }
    except OSError:
        return set()


def main() -> None:
    """The command."""
    name = sys.argv[1]
    if sys.argv[2:] != [ROOM]:
        command = [sys.executable, "-m", "fedjob_runtime.processes.fork_server", name, ROOM]
        os.execv(sys.executable, command)  # noqa: S606 (this program)
    # Keeps the environment readable in /proc, by which a local run finds its processes.
    os.environ["SPT_NOENV"] = "1"
    setproctitle(f"fedjob-fork-server {name}")
    path = tuple(_entries(os.environ))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0{name}")
        listener.listen(64)
        _import_all()
        request = ForkServer(listener, path).serve()
    become(request, path)


if __name__ == "__main__":
    main()

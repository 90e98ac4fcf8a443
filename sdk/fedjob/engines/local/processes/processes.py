"""The commands of a run as processes: in sessions of their own, logged to files, ended for sure."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fedjob.engines.local.log_files import is_start, start_line
from fedjob.engines.local.processes import die_with_parent, orphans

TERM_GRACE = 20.0
"""Seconds between SIGTERM and SIGKILL: the server drains for up to 10 s."""


class Child:
    """One command; may be started again after it has ended.

    Start it from the main thread: the kernel kills it when the thread that started it ends.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        cwd: Path | None = None,
        *,
        stdin: bytes = b"",
        marked: bool = True,
    ) -> None:
        """Starts nothing yet.

        Args:
            name: Shown to people.
            argv: The command.
            env: Its environment.
            log: Gets its output.
            cwd: Its working directory, which is made when it starts.
            stdin: What it can read once from standard input; some KiB at most. For secrets: the
                environment of a process stays readable while it runs.
            marked: Whether a line in the log separates its starts.
        """
        self.name = name
        self.log = log
        self._argv = list(argv)
        self._env = dict(env)
        self._cwd = cwd
        self._stdin = stdin
        self._marked = marked
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def start(self) -> None:
        """Start the command; its output is appended to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self._cwd is not None:
            self._cwd.mkdir(parents=True, exist_ok=True)
        script = [sys.executable, "-I", "-S", die_with_parent.__file__, "exec", str(os.getpid())]
        with open(self.log, "ab") as log, _readable(self._stdin) as stdin:
            if self._marked:
                log.write(start_line(self.name).encode())
                log.flush()
            self._process = subprocess.Popen(
                script + self._argv,
                env=self._env,
                cwd=self._cwd,
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started = time.monotonic()

    @property
    def pid(self) -> int | None:
        """Its process id, also after its end; None before the first start."""
        return None if self._process is None else self._process.pid

    @property
    def lived(self) -> float:
        """Seconds since its last start."""
        return time.monotonic() - self._started

    def poll(self) -> int | None:
        """Its exit code (negative: minus the signal), or None while it runs or before its start."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def send(self, number: int) -> None:
        """Send a signal to the process and its group; nothing happens when they are gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def reap(self) -> None:
        """Wait for the end of a process that was killed."""
        if self._process is not None:
            self._process.wait()


@contextmanager
def _readable(data: bytes) -> Iterator[int]:
    """The end of a pipe with the data in it."""
    reader, writer = os.pipe()
    try:
        with open(writer, "wb") as file:
            file.write(data)  # fits into the pipe, so nobody has to read yet
        yield reader
    finally:
        os.close(reader)


class Guard:
    """A process that ends what the run has left when we die without a chance to do it."""

    def __init__(self, run_id: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", orphans.__file__, run_id],
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def release(self) -> None:
        """Let it look for what is left now, and wait for its end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def stop(
    children: Iterable[Child],
    grace: float = TERM_GRACE,
    hurry: Callable[[], bool] = lambda: False,
) -> None:
    """End the children: SIGTERM to all at once, then SIGKILL to their groups.

    Args:
        children: Those that do not run are passed over.
        grace: Seconds in between.
        hurry: Asked while waiting: whether to wait no longer.
    """
    living = [child for child in children if child.running]
    for child in living:
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + grace
    while any(child.running for child in living) and time.monotonic() < deadline and not hurry():
        time.sleep(0.05)
    for child in living:
        child.send(signal.SIGKILL)
        child.reap()


def tail(log: Path, lines: int = 15, limit: int = 4000) -> str:
    """The last lines of a log, at most `limit` characters; empty when there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 4 * limit))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    written = [line for line in text.splitlines() if not is_start(line)]
    return "\n".join(written[-lines:])[-limit:]

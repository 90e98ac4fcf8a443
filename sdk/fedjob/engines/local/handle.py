"""Finds the run in a folder from another process: its status, its logs, its end."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

from pydantic import Field, ValidationError

from fedjob.engines.local.lock import FolderInUseError, RunLock
from fedjob.engines.local.results.result import RunResult, read_result
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.local.server_status import RETRY, WAIT, fetch
from fedjob.errors import Fault, InvalidInputError, UnavailableError
from fedjob.protocol.server_status import ServerStatus
from fedjob.spec.models.base import Model


class LiveRun(Model):
    """OUT/.fedjob/live.json: there while the processes run."""

    pid: int = Field(ge=1, description="Of the `fedjob run`.")
    http_port: int = Field(ge=1, le=65535, description="Of the server's /status on 127.0.0.1.")


class LocalHandle:
    """The run in a folder on this machine; implements RunHandle."""

    def __init__(self, folder: RunFolder) -> None:
        """Takes no lock and starts nothing."""
        self._folder = folder

    def status(self) -> ServerStatus | None:
        """What the server says now; None while none answers."""
        live = self._live()
        return None if live is None else fetch(live.http_port)

    def follow(self) -> Iterator[ServerStatus]:
        """Every status from now on, until the run ends or stops."""
        seen: tuple[int, int] | None = None
        since: int | None = None
        while (live := self._live()) is not None:
            status = fetch(live.http_port, since, WAIT)
            if status is None:
                since = None
                time.sleep(RETRY)
            elif (status.attempt, status.sequence) != seen:
                seen, since = (status.attempt, status.sequence), status.sequence
                yield status

    def wait(self, timeout: float | None = None) -> RunResult:
        """The result, once there is one.

        Raises:
            UnavailableError: The run stopped without one, or `timeout` seconds passed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._held():
            if deadline is not None and time.monotonic() > deadline:
                raise UnavailableError(
                    f"{self._folder.out}: the run goes on after {timeout:g} s; wait longer"
                )
            time.sleep(RETRY)
        result = self.result()
        if result is None:
            raise UnavailableError(
                f"{self._folder.out}: the run stopped before its end; run it again to go on from "
                f"its last committed round"
            )
        return result

    def logs(self, name: str) -> Iterator[str]:
        """The lines that `server` or `worker-<i>` has printed so far.

        Raises:
            InvalidInputError: There is no such process.
        """
        known = sorted(path.stem for path in self._folder.logs.glob("*.log"))
        if name not in known:
            fix = f"one of: {', '.join(known)}" if known else "run the job first"
            problem = f"no process of this name in {self._folder.out}"
            raise InvalidInputError([Fault(name, problem, fix)])
        with open(self._folder.log(name), encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n")

    def result(self) -> RunResult | None:
        """How it ended; None before."""
        return read_result(self._folder.result)

    def suspend(self) -> None:
        """Stop it in order, and wait until everything it started has ended."""
        live = self._live()
        if live is not None and self._held():
            with suppress(ProcessLookupError):
                os.kill(live.pid, signal.SIGTERM)
        while self._held():
            time.sleep(RETRY)

    def cancel(self) -> None:
        """Stop it and delete OUT/.fedjob; results that were delivered stay."""
        self.suspend()
        with RunLock(self._folder.lock):
            shutil.rmtree(self._folder.state)

    @property
    def running(self) -> bool:
        """Whether a process runs in the folder."""
        return self._held()

    def _held(self) -> bool:
        if not self._folder.lock.exists():
            return False
        try:
            with RunLock(self._folder.lock):
                return False
        except FolderInUseError:
            return True

    def _live(self) -> LiveRun | None:
        try:
            return LiveRun.model_validate_json(self._folder.live.read_bytes())
        except (OSError, ValidationError):
            return None

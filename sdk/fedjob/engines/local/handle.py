"""Finds the run in a folder from any process: its status, its logs, its end."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

from pydantic import Field, ValidationError

from fedjob.engines.base import Report, RunHandle
from fedjob.engines.local.background import BackgroundRun
from fedjob.engines.local.lock import FolderInUseError, RunLock
from fedjob.engines.local.results.report_files import write_report
from fedjob.engines.local.results.result import RunResult, read_result
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.local.server_status import RETRY, WAIT, fetch
from fedjob.errors import Fault, InvalidInputError, UnavailableError
from fedjob.protocol.server_status import ServerStatus
from fedjob.protocol.status_poll import Follower
from fedjob.spec.models.base import Model


class LiveRun(Model):
    """OUT/.fedjob/live.json: there while the processes run."""

    pid: int = Field(ge=1, description="Of the `fedjob run`.")
    http_port: int = Field(ge=1, le=65535, description="Of the server's /status on 127.0.0.1.")


class LocalHandle(RunHandle):
    """The run in a folder on this machine."""

    def __init__(self, folder: RunFolder, background: BackgroundRun | None = None) -> None:
        """Takes no lock and starts nothing.

        Args:
            folder: Where the run is.
            background: The thread of this process that works on it, if one does.
        """
        self._folder = folder
        self._background = background

    def status(self) -> ServerStatus | None:
        """The server's status; None while none answers."""
        live = self._live()
        return None if live is None else fetch(live.http_port)

    def follow(self) -> Iterator[ServerStatus]:
        """Every new status, until the run ends or stops."""
        follower = Follower()
        while self._held():
            live = self._live()
            status = None if live is None else fetch(live.http_port, follower.query(WAIT), WAIT)
            if status is None:
                follower.lost()
                time.sleep(RETRY)
            elif follower.is_new(status):
                yield status

    def wait(self, timeout: float | None = None) -> RunResult:
        """The result, once there is one.

        Args:
            timeout: Seconds to wait at most; None waits for as long as it takes.

        Raises:
            UnavailableError: The run stopped without a result, or is still running after `timeout`
                seconds.
            FedjobError: The error that ended a run of this process.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._held():
            if deadline is not None and time.monotonic() > deadline:
                raise UnavailableError(
                    f"{self._folder.out}: still running after {timeout:g} s; wait longer"
                )
            time.sleep(RETRY)
        if self._background is not None:
            self._background.check()
        result = self.result()
        if result is None:
            raise UnavailableError(
                f"{self._folder.out}: the run stopped before its end; run it again to resume after "
                f"its last committed round"
            )
        return result

    def logs(self, name: str) -> Iterator[str]:
        """The lines that `server` or `worker-<i>` has printed so far.

        Raises:
            InvalidInputError: The run has no such process.
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
        """How the run ended; None before."""
        return read_result(self._folder.result)

    def report(self) -> Report:
        """The HTML report, written from the rounds committed so far.

        Raises:
            InvalidInputError: The folder has no run.
        """
        rounds = write_report(self._folder, running=self.running)
        return Report(path=self._folder.report, rounds=rounds)

    def suspend(self) -> None:
        """Stop the run in order, and wait until every process of it has ended."""
        live = self._live()
        if self._background is not None:
            self._background.stop()
        elif live is not None and self._held():
            with suppress(ProcessLookupError):
                os.kill(live.pid, signal.SIGTERM)
        while self._held():
            time.sleep(RETRY)

    def cancel(self) -> None:
        """Stop the run and delete OUT/.fedjob; delivered results stay."""
        self.suspend()
        with RunLock(self._folder.lock):
            shutil.rmtree(self._folder.state)

    @property
    def running(self) -> bool:
        """Whether a process works on the run now."""
        return self._held()

    def _held(self) -> bool:
        if self._background is not None and self._background.alive:
            return True
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

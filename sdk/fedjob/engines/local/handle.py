"""Finds the run in a folder from any process: its status, its logs, its end."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import Field, ValidationError

from fedjob.atomic_files import write_bytes
from fedjob.engines.base import Report, RunHandle
from fedjob.engines.local.background import BackgroundRun
from fedjob.engines.local.lock import FolderInUseError, RunLock
from fedjob.engines.local.log_files import all_lines, followed, lines_of_start
from fedjob.engines.local.record import RunRecord, read_record
from fedjob.engines.local.results.report_files import read_commit, read_commits, write_report
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.local.server_status import RETRY, WAIT, fetch, read_file
from fedjob.engines.local.status import events_of, folder_status, live_status, name_of
from fedjob.engines.log_lines import between
from fedjob.engines.result import FolderFiles, RunResult, read_result
from fedjob.engines.run_status import RunEvent, RunStatus
from fedjob.errors import Fault, InvalidInputError, UnavailableError
from fedjob.formats import epoch
from fedjob.protocol.status_poll import Follower
from fedjob.spec.models.base import Model
from fedjob.spec.models.status import JobState


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

    @property
    def name(self) -> str:
        """Of the job; of the folder, where there is no run."""
        record = self._record()
        return self._folder.out.name if record is None else name_of(record)[0]

    @property
    def namespace(self) -> str:
        """Of the job."""
        record = self._record()
        return "default" if record is None else name_of(record)[1]

    @property
    def out(self) -> Path:
        """The folder of the run and its results, absolute."""
        return self._folder.out

    def status(self) -> RunStatus | None:
        """The run at this moment; None where the folder has no run."""
        record = self._record()
        if record is None:
            return None
        live = self._live()
        server = None if live is None else fetch(live.http_port)
        if server is not None:
            return live_status(server, self._folder, record)
        return folder_status(self._folder, record, running=self._held())

    def follow(self) -> Iterator[RunStatus]:
        """Every new status, the present one first, until the run ends or stops."""
        follower, last = Follower(), None
        while self._held():
            live = self._live()
            server = None if live is None else fetch(live.http_port, follower.query(WAIT), WAIT)
            record = self._record()
            status = None
            if server is None:
                follower.lost()
                # Between the server's end and the lock's release nothing new is known.
                if record is not None and (last is None or last.state is JobState.STARTING):
                    status = folder_status(self._folder, record, running=True)
                time.sleep(RETRY)
            elif follower.is_new(server) and record is not None:
                status = live_status(server, self._folder, record)
            if status is not None and status != last:
                last = status
                yield status
        end = self.status()
        if end is not None and end != last:
            yield end

    def wait(self, timeout: float | None = None) -> RunResult:
        """The result, once there is one, as `RunHandle.wait` says.

        Raises:
            UnavailableError: The run stopped without a result, or `timeout` is over.
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

    def logs(
        self, site: str, *, follow: bool = False, round: int | None = None, previous: bool = False
    ) -> Iterator[str]:
        """The lines that `server` or `worker-<i>` has printed in its last start.

        Args:
            site: The process.
            follow: Wait for new lines, also those of restarts, until the run ends or stops.
            round: Only the lines of that round, whichever start printed them.
            previous: The start before the last one.

        Raises:
            InvalidInputError: The run has no such process or round.
        """
        known = sorted(path.stem for path in self._folder.logs.glob("*.log"))
        if site not in known:
            fix = f"one of: {', '.join(known)}" if known else "run the job first"
            problem = f"no process of this name in {self._folder.out}"
            raise InvalidInputError([Fault(site, problem, fix)])
        path = self._folder.log(site)
        if round is not None:
            yield from between(all_lines(path), *self._span(round))
        elif follow:
            yield from followed(path, self._held)
        else:
            yield from lines_of_start(path, previous=previous)

    def events(self) -> list[RunEvent]:
        """What happened on the server, the oldest first: the last 100, of its last start."""
        live = self._live()
        server = None if live is None else fetch(live.http_port)
        if server is None:
            server = read_file(self._folder.server_status)
        return [] if server is None else events_of(server)

    def result(self) -> RunResult | None:
        """How the run ended; None before."""
        result = read_result(self._folder.result)
        return None if result is None else result.with_files(FolderFiles(self._folder.out))

    def report(self, path: Path | None = None) -> Report:
        """The HTML report, written from the rounds committed so far.

        Args:
            path: A file to write it to as well; None: only OUT/report.html.

        Raises:
            InvalidInputError: The folder has no run.
        """
        rounds = write_report(self._folder, running=self.running)
        if path is None:
            return Report(path=self._folder.report, rounds=rounds)
        write_bytes(path, self._folder.report.read_bytes())
        return Report(path=path.absolute(), rounds=rounds)

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

    def resume(self) -> None:
        """Continue the run after its last committed round, in a thread of this process.

        Python's exit stops it. A run that a process works on is left alone.

        Raises:
            InvalidInputError: There is nothing to resume, or a shard or the checkpoint is not the
                file that the run began with.
        """
        from fedjob.engines.local.engine import LocalEngine  # the engine makes handles

        if not self._held():
            self._background = LocalEngine.kept(self._folder).start()

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

    def _span(self, number: int) -> tuple[float, float | None]:
        """When a round began and ended, in seconds since the epoch; no end while it is under way.

        Raises:
            InvalidInputError: The run has not come to this round.
        """
        commit = read_commit(self._folder, number) if number > 0 else None
        if commit is not None:
            # Commits name whole seconds.
            return epoch(commit.started) or 0.0, (epoch(commit.ended) or 0.0) + 1.0
        done = max((commit.round for commit in read_commits(self._folder)), default=0)
        before = read_commit(self._folder, number - 1)
        if number == done + 1 and before is not None and self._held():
            return epoch(before.ended) or 0.0, None
        fix = f"give one of 1 to {done}" if done else "wait for the first round"
        raise InvalidInputError([Fault(f"round {number}", "has not been run", fix)])

    def _record(self) -> RunRecord | None:
        try:
            return read_record(self._folder.record)
        except InvalidInputError:
            return None

    def _live(self) -> LiveRun | None:
        try:
            return LiveRun.model_validate_json(self._folder.live.read_bytes())
        except (OSError, ValidationError):
            return None

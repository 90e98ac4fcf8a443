"""The local engine: a whole run on this machine, in a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from fedjob.engines.base import Engine
from fedjob.engines.local.background import BackgroundRun
from fedjob.engines.local.handle import LocalHandle
from fedjob.engines.local.interruption import Interrupt, InterruptedRunError, Interruption
from fedjob.engines.local.lock import RunLock
from fedjob.engines.local.observer import RunObserver, SilentObserver
from fedjob.engines.local.processes.commands import Commands
from fedjob.engines.local.processes.orphans import RUN_FOLDER, kill_marked
from fedjob.engines.local.record import check_same, read_record, record_of
from fedjob.engines.local.results.delivery import delivered
from fedjob.engines.local.run import LocalRun
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.local.submission import keep_submission, kept_submission
from fedjob.engines.result import RunResult
from fedjob.preparation.prepared import PreparedRun
from fedjob.workspace.job_folder import write_job_folder


class LocalEngine(Engine):
    """Runs a prepared job in a folder to its end.

    `run` works in the thread of its caller and takes Ctrl-C there, if that is the main thread;
    `submit` works in a thread of its own.

    Examples:
        >>> prepared = prepare(job, LocalFiles(shards=Path("shards")))
        >>> LocalEngine(prepared, RunFolder.at(Path("out"))).run().state
        <RunState.COMPLETE: 'Complete'>
    """

    def __init__(
        self,
        prepared: PreparedRun,
        folder: RunFolder,
        observer: RunObserver | None = None,
        *,
        fresh: bool = False,
        commands: Commands | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            prepared: The job, checked.
            folder: Where it runs and where its results go.
            observer: Notified of progress, from several threads.
            fresh: Delete the state of an earlier run in the folder first.
            commands: What to start.
        """
        self._prepared = prepared
        self._folder = folder
        self._observer: RunObserver = observer or SilentObserver()
        self._fresh = fresh
        self._commands = commands or Commands()

    def submit(self) -> LocalHandle:
        """Start the run, or resume it, in a thread of this process, and return while it runs.

        Returns:
            The run. Its `wait` raises what ended the run early; Python's exit stops it.

        Raises:
            FolderInUseError: Another run works in the folder.
            InvalidInputError: The folder holds another job's run.
        """
        return LocalHandle(self._folder, self.start())

    def start(self) -> BackgroundRun:
        """Start the run as `submit` does; returns its thread, which holds the folder."""
        background = BackgroundRun(self._run)
        background.start()
        return background

    @classmethod
    def kept(cls, folder: RunFolder, commands: Commands | None = None) -> LocalEngine:
        """The engine of the run in a folder, with what the run was submitted with.

        Args:
            folder: Where the run is.
            commands: What to start.

        Raises:
            InvalidInputError: There is no run, or its files on this machine have changed.
        """
        return cls(kept_submission(folder), folder, commands=commands)

    def run(self) -> RunResult:
        """Run to the end, after the last committed round where the folder holds this job's run.

        Returns:
            How it ended, as in result.json; a run that is complete already is not run again.

        Raises:
            FolderInUseError: Another run works in the folder.
            InvalidInputError: The folder holds another job's run.
            InterruptedRunError: A signal stopped it; everything it started has ended.
            UnavailableError: The store cannot be started, or is lost.
        """
        return self._run(Interruption(), lambda: None)

    def _run(self, interruption: Interruption, started: Callable[[], None]) -> RunResult:
        folder = self._folder
        with RunLock(folder.lock), interruption:
            # Of a run that was killed together with its guard.
            kill_marked(RUN_FOLDER, str(folder.state))
            if self._fresh:
                self._forget()
            record = record_of(self._prepared.job, self._prepared.digests)
            old = read_record(folder.record)
            if old is not None:
                check_same(old, record, folder.out)
                done = delivered(folder, record)
                if done is not None:
                    self._observer.note(f"{folder.out}: this run is complete already")
                    started()
                    return done
                self._observer.note(f"{folder.out}: resuming the run in this folder")
            folder.result.unlink(missing_ok=True)
            write_job_folder(self._prepared.job_files, folder.job)
            keep_submission(folder, self._prepared)
            record.write(folder.record)
            started()
            run = LocalRun(self._prepared, folder, self._observer, self._commands, interruption)
            try:
                return run.run()
            except Interrupt as interrupt:
                done_rounds = run.status.completed if run.status is not None else 0
                raise InterruptedRunError(
                    f"stopped by {interrupt} after round {done_rounds} of {record.num_rounds}; run "
                    f"the same command again to resume from there ({folder.out})"
                ) from None

    def _forget(self) -> None:
        """Delete everything but the lock, which we hold."""
        for entry in self._folder.state.iterdir():
            if entry == self._folder.lock:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

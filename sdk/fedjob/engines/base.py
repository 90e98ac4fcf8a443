"""The verbs of every engine, whatever it runs on.

An `Engine` submits a prepared job; a `RunHandle` finds the run again, from any process, by where it
is (a folder on this machine, a resource in a cluster). A run can always be resumed: it continues
after its last committed round, so `suspend` is a stop; `resume`, and submitting the same job again,
continue it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fedjob.engines.result import RunResult
from fedjob.engines.run_status import RunEvent, RunStatus


@dataclass(frozen=True, slots=True)
class Report:
    """An HTML report on this machine.

    Attributes:
        path: The file.
        rounds: Rounds in it, without round 0.
    """

    path: Path
    rounds: int


class RunHandle(Protocol):
    """A run that some process started."""

    @property
    def name(self) -> str:
        """Of the job: metadata.name."""

    @property
    def namespace(self) -> str:
        """Of the job: metadata.namespace."""

    @property
    def running(self) -> bool:
        """Whether something works on the run now."""

    def status(self) -> RunStatus | None:
        """The run at this moment; None where there is no run.

        Raises:
            UnavailableError: What knows it cannot be reached.
        """

    def follow(self) -> Iterator[RunStatus]:
        """Every new status, the present one first, until the run ends or stops.

        It survives broken connections and restarts of the server. The last one says how the run
        ended.
        """

    def wait(self, timeout: float | None = None) -> RunResult:
        """The result, once there is one: also of a run that failed.

        Args:
            timeout: Seconds to wait at most; None waits for as long as it takes.

        Raises:
            UnavailableError: The run stopped without a result, or is still running after `timeout`
                seconds.
        """

    def logs(
        self, site: str, *, follow: bool = False, round: int | None = None, previous: bool = False
    ) -> Iterator[str]:
        """The lines that a process has printed in its last start, without line ends.

        Args:
            site: `server` or `worker-<i>`.
            follow: Wait for new lines, also those of restarts, until the run ends or stops.
            round: Only the lines of that round, 1 and up, whichever start printed them.
            previous: The start before the last one.

        Raises:
            InvalidInputError: The run has no such process or round.
            UnavailableError: The log cannot be reached.
        """

    def events(self) -> list[RunEvent]:
        """What happened to the run, the oldest first; recent ones only."""

    def result(self) -> RunResult | None:
        """How the run ended; None before. Its `load` and `download` fetch the files."""

    def report(self, path: Path | None = None) -> Report:
        """The HTML report of the rounds committed so far.

        Args:
            path: The file to write; None: where this engine keeps it.

        Raises:
            InvalidInputError: Nothing of a run is there.
        """

    def suspend(self) -> None:
        """Stop the run in order; committed rounds stay, and `resume` continues after them."""

    def resume(self) -> None:
        """Continue a suspended run after its last committed round; a running one is left alone.

        Raises:
            InvalidInputError: There is nothing to resume, or its files have changed.
        """

    def cancel(self) -> None:
        """Stop the run and delete its state; delivered results stay."""


class Engine(Protocol):
    """Runs one job."""

    def submit(self) -> RunHandle:
        """Start the job, or resume it, and return while it runs.

        Raises:
            InvalidInputError: Another job's run is there.
            UnavailableError: Another process runs it, or something it needs cannot be reached.
        """

    def run(self) -> RunResult:
        """Submit the job and stay with it to its end.

        Raises:
            InvalidInputError: Another job's run is there.
            InterruptedRunError: A signal stopped it; submitting it again resumes.
            UnavailableError: Another process runs it, or something it needs cannot be reached.
        """

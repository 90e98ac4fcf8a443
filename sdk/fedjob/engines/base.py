"""The verbs of every engine, whatever it runs on.

An `Engine` submits a prepared job; a `RunHandle` finds the run again, from any process, by where it
is (a folder on this machine, a resource in a cluster). A run can always be resumed: it continues
after its last committed round, so `suspend` is a stop, and submitting the same job again resumes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fedjob.engines.local.results.result import RunResult
from fedjob.protocol.server_status import ServerStatus


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
    def running(self) -> bool:
        """Whether something works on the run now."""

    def status(self) -> ServerStatus | None:
        """The server's status; None while none answers."""

    def follow(self) -> Iterator[ServerStatus]:
        """Every new status, until the run ends or stops."""

    def wait(self, timeout: float | None = None) -> RunResult:
        """The result, once there is one.

        Args:
            timeout: Seconds to wait at most; None waits for as long as it takes.

        Raises:
            UnavailableError: The run stopped without a result, or is still running after `timeout`
                seconds.
        """

    def logs(self, name: str) -> Iterator[str]:
        """The lines that `server` or `worker-<i>` has printed so far.

        Raises:
            InvalidInputError: The run has no such process.
        """

    def result(self) -> RunResult | None:
        """How the run ended; None before."""

    def report(self) -> Report:
        """The HTML report, written from the rounds committed so far.

        Raises:
            InvalidInputError: Nothing of a run is there.
        """

    def suspend(self) -> None:
        """Stop the run in order; committed rounds stay, and submitting it again resumes."""

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

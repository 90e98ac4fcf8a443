"""The verbs that every engine has, whatever it runs on.

An `Engine` takes a prepared job to its end; a `RunHandle` finds a run again, from any process, by
where it runs (a folder on this machine, a resource in a cluster). Both are resumable by design: a
run goes on from its last committed round, so `suspend` is a stop and running again is `resume`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from fedjob.engines.local.results.result import RunResult
from fedjob.protocol.server_status import ServerStatus


class Engine(Protocol):
    """Runs one job."""

    def run(self) -> RunResult:
        """Submit the job, or resume it, and follow it to its end.

        Raises:
            InvalidInputError: What is there is another job.
            InterruptedRunError: It was stopped on request; running again resumes it.
            UnavailableError: Something it needs cannot be reached.
        """


class RunHandle(Protocol):
    """A run that some process started."""

    def status(self) -> ServerStatus | None:
        """What the server says now; None while none answers."""

    def follow(self) -> Iterator[ServerStatus]:
        """Every status from now on, until the run ends or stops."""

    def wait(self, timeout: float | None = None) -> RunResult:
        """The result, once there is one.

        Raises:
            UnavailableError: The run stopped without one, or `timeout` seconds passed.
        """

    def logs(self, name: str) -> Iterator[str]:
        """The lines that `server` or `worker-<i>` has printed so far."""

    def result(self) -> RunResult | None:
        """How it ended; None before."""

    def suspend(self) -> None:
        """Stop it in order; what is committed stays, and running again resumes it."""

    def cancel(self) -> None:
        """Stop it and forget its state; results that were delivered stay."""

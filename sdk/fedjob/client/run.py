"""The handle of a run, the same on a laptop and in a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from fedjob.client.notebook import LiveView, run_html
from fedjob.client.python_names import python_names
from fedjob.engines.base import Report, RunHandle
from fedjob.engines.result import RoundLine, RunResult, RunState
from fedjob.engines.run_status import RunEvent, RunStatus
from fedjob.errors import Fault, FedjobError, InvalidInputError, RunFailedError, UnavailableError


class Run:
    """A run that a client has submitted or found; any process can find it again by its name.

    In a notebook it shows itself: state, rounds, clients and a curve.

    Examples:
        >>> run = LocalClient().submit(job, shards="shards/")
        >>> for status in run.follow():
        ...     last = status.rounds_text
        >>> last
        '5/5'
        >>> run.wait().rounds[-1].metrics["loss"]
        0.1
    """

    def __init__(self, handle: RunHandle) -> None:
        """Wraps an engine's handle.

        Args:
            handle: Of `fedjob.engines`.
        """
        self._handle = handle
        self._rounds: dict[int, RoundLine] = {}

    @property
    def name(self) -> str:
        """Name of the job.

        Examples:
            >>> run.name
            'digits'
        """
        return self._handle.name

    @property
    def namespace(self) -> str:
        """Namespace of the job.

        Examples:
            >>> run.namespace
            'default'
        """
        return self._handle.namespace

    @property
    def handle(self) -> RunHandle:
        """What the engine knows of the run, for tools.

        Examples:
            >>> run.handle.name
            'digits'
        """
        return self._handle

    @property
    def running(self) -> bool:
        """Whether something works on the run now.

        Examples:
            >>> run.running
            False
        """
        return self._handle.running

    def status(self) -> RunStatus:
        """The run at this moment.

        Raises:
            InvalidJobError: The run was deleted.
            UnavailableError: What knows it cannot be reached.

        Examples:
            >>> run.status().state
            <JobState.COMPLETE: 'Complete'>
            >>> run.status().rounds_text
            '5/5'
        """
        status = self._handle.status()
        if status is None:
            fix = "submit the job again"
            raise InvalidInputError([Fault(f"run {self.name}", "was deleted", fix)])
        self._note(status.history)
        return status

    def follow(self) -> Iterator[RunStatus]:
        """Every new status, the present one first, until the run ends or stops.

        It survives broken connections and restarts of the server. In a notebook it draws the run
        and keeps the drawing up to date. The last status says how the run ended; nothing is raised
        for a run that failed.

        Examples:
            >>> [status.state.value for status in run.follow()][-1]
            'Complete'
        """
        view = LiveView.open()
        for status in self._handle.follow():
            self._note(status.history)
            view.show(status, self._history())
            yield status

    def wait(self, timeout: float | None = None) -> RunResult:
        """Wait for the end, and return the result.

        Args:
            timeout: Seconds to wait at most; None waits for as long as it takes.

        Raises:
            RunFailedError: The run failed: its `reason` is of the catalogue, its `message` says
                what to do.
            UnavailableError: The run stopped before its end, or is still running after `timeout`
                seconds.

        Examples:
            >>> result = run.wait(timeout=3600)
            >>> result.state, len(result.rounds)
            (<RunState.COMPLETE: 'Complete'>, 5)
        """
        result = self._handle.wait(timeout)
        if result.state is RunState.FAILED:
            raise RunFailedError(self.name, result.reason, result.message)
        return result

    def result(self) -> RunResult:
        """How the run ended, also of one that failed: rounds, metrics and the final model.

        Raises:
            UnavailableError: It has not ended; `wait` waits for it.

        Examples:
            >>> result = run.result()
            >>> sorted(result.load())
            ['bias', 'weight']
            >>> sorted(path.name for path in result.download("out/").iterdir())
            ['GLOBAL_MODEL.pt', 'model.safetensors', 'report.html', 'result.json']
        """
        result = self._handle.result()
        if result is None:
            raise UnavailableError(f"{self.status().summary}; wait for its end: run.wait()")
        return result

    def logs(
        self,
        site: str = "server",
        *,
        follow: bool = False,
        round: int | None = None,
        previous: bool = False,
    ) -> Iterator[str]:
        """The lines that a process has printed in its last start, without line ends.

        Args:
            site: `server` or `worker-<i>`.
            follow: Wait for new lines until the run ends or stops.
            round: Only the lines of that round, 1 and up.
            previous: The start before the last one.

        Raises:
            InvalidJobError: The run has no such process or round.
            UnavailableError: The log cannot be reached.

        Examples:
            >>> for line in run.logs("worker-0", round=1):
            ...     print(line)
            2026-01-02T03:00:30Z epoch 1 loss 0.5
        """
        return self._handle.logs(site, follow=follow, round=round, previous=previous)

    def events(self) -> list[RunEvent]:
        """What happened to the run, the oldest first; recent events only.

        Examples:
            >>> [event.reason for event in run.events()]
            ['RoundCompleted']
        """
        return self._handle.events()

    def report(self, path: str | Path | None = None) -> Report:
        """Write the HTML report of the rounds committed so far; also of a run under way.

        Args:
            path: The file; None: report.html in the folder of a local run, or in this folder.

        Raises:
            InvalidJobError: Nothing of a run is there yet.

        Examples:
            >>> run.report("report.html").rounds
            5
        """
        with python_names():
            return self._handle.report(None if path is None else Path(path).expanduser())

    def suspend(self) -> None:
        """Stop the run in order; committed rounds stay.

        Examples:
            >>> run.suspend()
            >>> run.running
            False
        """
        self._handle.suspend()

    def resume(self) -> None:
        """Continue a suspended run after its last committed round; a running one is left alone.

        Raises:
            InvalidJobError: There is nothing to resume, or the files of a local run have changed.

        Examples:
            >>> run.resume()
            >>> run.running
            True
        """
        with python_names():
            self._handle.resume()

    def cancel(self) -> None:
        """Stop the run and delete its state; delivered results stay.

        Examples:
            >>> run.cancel()
        """
        self._handle.cancel()

    def __repr__(self) -> str:
        try:
            return f"<Run {self.name}: {self.status().summary}>"
        except FedjobError as error:
            return f"<Run {self.name}: {error}>"

    def _repr_html_(self) -> str:
        try:
            status = self.status()
        except FedjobError as error:
            return run_html(None, (), str(error))
        result = self._handle.result() if status.ended else None
        if result is not None:
            self._note(result.rounds)
        return run_html(status, self._history())

    def _note(self, rounds: list[RoundLine]) -> None:
        """A status holds the last rounds only; a curve shows all that were seen."""
        self._rounds |= {line.round: line for line in rounds}

    def _history(self) -> list[RoundLine]:
        return [self._rounds[number] for number in sorted(self._rounds)]


Runs: TypeAlias = list[Run]
"""What `list` of a client returns; the clients' method hides the builtin of that name."""

"""Shows a run in progress: a live display on a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

from rich.console import Console
from rich.live import Live

from fedjob.cli.display.event_lines import EventLines
from fedjob.cli.display.run_view import RunView
from fedjob.cli.display.screen import screen
from fedjob.engines.local.observer import RunObserver, Step
from fedjob.metric_text import in_order, number
from fedjob.protocol.commit import Commit
from fedjob.protocol.server_status import ClientState, RunEvent, ServerStatus


class LiveProgress(AbstractContextManager["LiveProgress"]):
    """Redraws a display in place, four times a second; implements RunObserver."""

    def __init__(self, console: Console, name: str, total: int, began: float | None = None) -> None:
        self.view = RunView(name, total)
        self.view.started[Step.PREPARE] = time.monotonic() if began is None else began
        self._live = Live(
            console=console,
            refresh_per_second=4,
            get_renderable=lambda: screen(self.view, time.monotonic()),
            vertical_overflow="crop",
        )

    def __enter__(self) -> LiveProgress:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Draw once more and leave the last picture on the screen."""
        self._live.stop()

    def step(self, step: Step) -> None:
        """Mark the phase."""
        self.view.started.setdefault(step, time.monotonic())

    def note(self, message: str, *, warning: bool = False) -> None:
        """Show the line below the display; warnings are also kept above it, in the scrollback."""
        self.view.notes.append((message, warning))
        if warning:
            self._live.console.print(message, style="yellow", markup=False, highlight=False)

    def uploaded(self, done: int, total: int) -> None:
        """Move the upload's bar."""
        self.view.uploaded = (done, total)

    def status(self, status: ServerStatus) -> None:
        """Take the server's status."""
        self.view.take(status, time.monotonic())

    def restarted(self, name: str, restarts: int) -> None:
        """Count it in the clients' table."""
        self.view.restarts[name] = restarts


class LineProgress(EventLines, AbstractContextManager["LineProgress"]):
    """One line an event; implements RunObserver."""

    def __init__(self, console: Console, name: str, total: int, began: float | None = None) -> None:
        super().__init__(console, began)
        self.view = RunView(name, total)
        self.view.started[Step.PREPARE] = self._began
        self._states: dict[str, ClientState] = {}
        self._events: set[tuple[float, str, str]] = set()

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def step(self, step: Step) -> None:
        """A line for the phase."""
        if step not in self.view.started:
            self.view.started[step] = time.monotonic()
            self.line(str(step))

    def status(self, status: ServerStatus) -> None:
        """A line for each event, each client that came or went, and each committed round."""
        for event in status.events:
            self._event(event)
        for client in status.clients:
            self._client(client.name, client.state, client.message)
        for commit in self.view.take(status, time.monotonic()):
            self._commit(commit)

    def restarted(self, name: str, restarts: int) -> None:
        """A line."""
        self.view.restarts[name] = restarts
        self.line(f"{name} was started again (restart {restarts})")

    def _event(self, event: RunEvent) -> None:
        key = (event.time, event.reason, event.message)
        if key not in self._events:
            self._events.add(key)
            self.line(f"{event.reason}: {event.message}")

    def _client(self, name: str, state: ClientState, message: str) -> None:
        before = self._states.get(name, ClientState.EXPECTED)
        self._states[name] = state
        gone = {ClientState.EXPECTED, ClientState.LOST, ClientState.FAILED}
        # Within a round every client goes Connected, Training, Answered: no news.
        if before != state and (before in gone or state in gone):
            self.line(f"{name}: {state}" + (f": {message}" if message else ""))

    def _commit(self, commit: Commit) -> None:
        names = in_order(commit.metrics)
        metrics = "".join(f", {name} {number(commit.metrics[name])}" for name in names)
        if commit.round == 0:
            self.line(f"initial model committed{metrics}")
            return
        clients = len(commit.participants)
        self.line(
            f"round {commit.round}/{self.view.total}: {clients} client{'s' * (clients != 1)}, "
            f"{commit.samples} samples{metrics}, {commit.times.total:.2f} s"
        )


def progress_for(
    console: Console, name: str, total: int, began: float | None = None
) -> LiveProgress | LineProgress:
    """The display that fits the console.

    Args:
        console: Where to.
        name: The job.
        total: Its rounds.
        began: When its preparation began, monotonic seconds; by default now.
    """
    return (LiveProgress if console.is_terminal else LineProgress)(console, name, total, began)


def _observes(progress: LiveProgress | LineProgress) -> RunObserver:
    return progress  # mypy checks here that both are RunObservers

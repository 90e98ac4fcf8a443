"""Shows a run that is followed: a live screen on a terminal, one line a change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from fedjob.cli.display.event_lines import EventLines
from fedjob.cli.display.job_screen import MOST_CLIENTS, job_screen
from fedjob.cli.display.status_text import why
from fedjob.engines.result import RoundLine
from fedjob.engines.run_status import RunEvent, RunStatus
from fedjob.formats import size
from fedjob.metric_text import in_order, number

_GONE = frozenset({"Expected", "Lost", "Failed"})
_OTHER_LINES = 16
"""Lines of a screen beside its clients."""


class LiveFollow(AbstractContextManager["LiveFollow"]):
    """Redraws the job's screen in place, twice a second, so that ages move."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: RunStatus | None = None
        self._events: list[RunEvent] = []
        self._notes: list[str] = []
        self._uploaded: tuple[int, int] | None = None
        self._live = Live(
            console=console, refresh_per_second=2, get_renderable=self._draw,
            vertical_overflow="crop",
        )  # fmt: skip

    def __enter__(self) -> LiveFollow:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Draw once more and leave the last picture on the screen."""
        self._live.stop()

    def status(self, status: RunStatus, events: list[RunEvent]) -> None:
        """Take a new status, and the events so far."""
        self._status, self._events = status, events
        self._notes.clear()

    def note(self, message: str, *, warning: bool = False) -> None:
        """Show the line below the screen until the next status."""
        if warning:
            self._notes.append(message)
        else:
            self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def uploaded(self, done: int, total: int) -> None:
        """Show bytes that have arrived."""
        self._uploaded = (done, total)

    def _draw(self) -> Group:
        most = max(min(MOST_CLIENTS, self._console.height - _OTHER_LINES), 3)
        if self._status is not None:
            now = datetime.now(UTC)
            return Group(
                job_screen(self._status, self._events, now, most_clients=most, notes=self._notes)
            )
        if self._uploaded is not None:
            done, total = self._uploaded
            return Group(Text(f"uploaded {size(done)} of {size(total)}"))
        return Group(Text("waiting for the job", style="dim"))


class LineFollow(EventLines, AbstractContextManager["LineFollow"]):
    """One line a change."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, clock=clock)
        self._shown = ""
        self._states: dict[str, str] = {}
        self._round = 0
        self._seen: set[tuple[datetime, str, str]] = set()

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def status(self, status: RunStatus, events: list[RunEvent]) -> None:
        """A line for a new state, each client that came or went, each round and each event."""
        for event in events:
            key = (event.time, event.reason, event.message)
            if key not in self._seen:
                self._seen.add(key)
                about = f"{event.about}: " if event.about else ""
                self.line(f"{event.reason}: {about}{event.message}")
        for client in status.clients:
            before = self._states.get(client.name, "Expected")
            self._states[client.name] = client.state
            # Within a round every client goes Connected, Training, Answered: no news.
            if before != client.state and (before in _GONE or client.state in _GONE):
                text = f": {' '.join(client.message.split())}" if client.message else ""
                self.line(f"{client.name}: {client.state}{text}")
        for line in status.history:
            if line.round > self._round:
                self._round = line.round
                self.line(round_text(line, status.total))
        text = f"{status.state}" + (f": {why(status)}" if why(status) else "")
        if text != self._shown:
            self._shown = text
            self.line(text)


def round_text(line: RoundLine, total: int) -> str:
    """`round 2/5: 3 clients, 1,447 samples, val_accuracy 0.95, 0.80 s`."""
    metrics = "".join(f", {name} {number(line.metrics[name])}" for name in in_order(line.metrics))
    clients = f"{line.clients} client{'s' * (line.clients != 1)}"
    return (
        f"round {line.round}/{total}: {clients}, {line.samples:,} samples{metrics}, "
        f"{line.seconds:.2f} s"
    )


def follow_view(console: Console) -> LiveFollow | LineFollow:
    """The display that fits the console."""
    return LiveFollow(console) if console.is_terminal else LineFollow(console)

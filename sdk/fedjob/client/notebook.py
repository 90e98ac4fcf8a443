"""A run in a notebook: drawn once, and kept up to date while it is followed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from fedjob.engines.result import RoundLine
from fedjob.engines.run_status import RunStatus
from fedjob.report.fragment import ClientRow, RunView, fragment
from fedjob.spec.models.status import JobState

_TONES = {
    JobState.COMPLETE: "good",
    JobState.FAILED: "bad",
    JobState.FAILING: "bad",
    JobState.RECOVERING: "warn",
    JobState.SUSPENDED: "warn",
}


def run_html(status: RunStatus | None, history: Iterable[RoundLine], problem: str = "") -> str:
    """A run as HTML.

    Args:
        status: None: it is not known.
        history: Every round that was seen.
        problem: Why the status is not known.
    """
    if status is None:
        return fragment(RunView(name="run", state="unknown", tone="warn", message=problem), {})
    facts = [f"round {status.rounds_text}", f"clients {status.clients_text}"]
    if status.metric_text:
        facts.append(status.metric_text)
    if status.eta is not None and not status.ended:
        facts.append(f"ends about {status.eta:%H:%M} UTC")
    if status.retries:
        facts.append(f"retries {sum(status.retries.values())}")
    reason = f"{status.reason}: " if status.reason else ""
    view = RunView(
        name=status.name,
        state=str(status.state),
        tone=_TONES.get(status.state, ""),
        facts=facts,
        percent=round(100 * status.completed / status.total) if status.total else None,
        message=f"{reason}{status.message}" if status.message else status.reason,
        clients=[
            ClientRow(
                name=client.name,
                shard=client.shard,
                state=client.state,
                samples=f"{client.samples:,}" if client.samples else "",
                restarts=str(client.restarts) if client.restarts else "",
                title=client.message,
            )
            for client in status.clients
        ],
    )
    return fragment(view, {line.round: line.metrics for line in history})


class LiveView:
    """A drawing of one run in the cell that follows it; nothing outside of a notebook."""

    def __init__(self, display: Any) -> None:
        """Draws nothing yet.

        Args:
            display: `IPython.display.display`; None outside a notebook.
        """
        self._display = display
        self._handle: Any = None

    @classmethod
    def open(cls) -> LiveView:
        """One for the cell that runs now."""
        return cls(_display())

    def show(self, status: RunStatus, history: Iterable[RoundLine]) -> None:
        """Draw the run, in place of what was drawn before."""
        if self._display is None:
            return
        # The text form is for notebooks read in a terminal.
        data = {"text/html": run_html(status, history), "text/plain": status.summary}
        if self._handle is None:
            self._handle = self._display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _display() -> Any:
    """IPython's `display` where the code runs in a notebook: the prompt would print every change.

    A script that has IPython installed imports nothing of it.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display

"""A run's status as text: cells, ages, the state's style. Pure."""

from __future__ import annotations

from datetime import datetime

from fedjob.engines.run_status import RunStatus
from fedjob.formats import duration
from fedjob.spec.models.status import JobState

STATE_STYLES = {
    JobState.COMPLETE: "green",
    JobState.FAILED: "bold red",
    JobState.FAILING: "red",
    JobState.RECOVERING: "yellow",
    JobState.SUSPENDED: "dim",
    JobState.TRAINING: "cyan",
}
CLIENT_STYLES = {
    "Expected": "dim",
    "Connected": "cyan",
    "Training": "yellow",
    "Answered": "green",
    "Failed": "bold red",
    "Lost": "red",
}


def age(seconds: float) -> str:
    """How long ago, as kubectl writes it: `11s`, `4m5s`, `2h3m`, `3d4h`, `17d`."""
    left = max(int(seconds), 0)
    if left < 120:
        return f"{left}s"
    if left < 600:
        return f"{left // 60}m{left % 60}s" if left % 60 else f"{left // 60}m"
    if left < 3 * 3600:
        return f"{left // 60}m"
    if left < 8 * 3600:
        return f"{left // 3600}h{left % 3600 // 60}m"
    if left < 48 * 3600:
        return f"{left // 3600}h"
    return f"{left // 86400}d"


def since(moment: datetime | None, now: datetime) -> str:
    """The age of a moment; a dash for none."""
    return "-" if moment is None else age((now - moment).total_seconds())


def eta(status: RunStatus, now: datetime) -> str:
    """Time left, `1 min 20 s`; a dash where it is not known."""
    if status.eta is None or status.ended:
        return "-"
    return duration(max((status.eta - now).total_seconds(), 0.0))


def left(status: RunStatus, now: datetime) -> str:
    """Time left as ages are written, `80s`; a dash where it is not known."""
    if status.eta is None or status.ended:
        return "-"
    return age((status.eta - now).total_seconds())


def why(status: RunStatus) -> str:
    """Reason and message on one line."""
    text = " ".join(status.message.split())
    return f"{status.reason}: {text}" if status.reason and text else status.reason or text

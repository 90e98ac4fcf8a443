"""What a server that waits for workers tells: for whom, since when, and for how long. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

NAMED = 10
"""Workers told by name; the others by number."""


def waiting_words(
    missing: Sequence[str],
    connected: int,
    everyone: int,
    need: int,
    since: float,
    until: float | None,
    deadline: int | None,
) -> str:
    """One line that does not change while nothing does, so that it is not written again.

    Args:
        missing: The workers waited for.
        connected: How many are there.
        everyone: How many there may be.
        need: `minClients`.
        since: When the wait began, seconds since the epoch.
        until: When the run goes on without them; None: not before enough are there.
        deadline: `runPolicy.activeDeadlineSeconds`.
    """
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    who = ", ".join(missing[:NAMED]) + more
    if until is not None:
        end = f"the run goes on without the missing at {_clock(until)} at the latest"
    elif deadline is not None:
        end = f"it waits until the job's activeDeadlineSeconds ({deadline}) are over"
    else:
        end = "it waits without a limit; spec.runPolicy.activeDeadlineSeconds sets one"
    return (
        f"waiting for {who} since {_clock(since)} ({connected} of {everyone} connected, "
        f"{need} needed): {end}"
    )


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

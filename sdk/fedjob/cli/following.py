"""Follows a run and shows it: the status as it changes, and its events now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from fedjob.cli.display.follow_view import LineFollow, LiveFollow
from fedjob.engines.base import RunHandle
from fedjob.engines.run_status import RunEvent, RunStatus
from fedjob.errors import FedjobError

EVENTS_SECONDS = 3.0
"""Between two looks at the events of a run, which are a request of their own."""


def follow_run(
    handle: RunHandle,
    view: LiveFollow | LineFollow,
    clock: Callable[[], float] = time.monotonic,
) -> RunStatus | None:
    """Show every change of a run until it ends or stops; returns the last status.

    Args:
        handle: The run.
        view: Where it is shown.
        clock: Seconds.
    """
    last: RunStatus | None = None
    events: list[RunEvent] = []
    looked: float | None = None
    for status in handle.follow():
        last = status
        if looked is None or clock() - looked >= EVENTS_SECONDS or status.ended:
            looked = clock()
            # The status is what counts: an API server that restarts, or a job that was deleted
            # meanwhile, must not end the view.
            with suppress(FedjobError):
                events = handle.events()
        view.status(status, events)
    return last

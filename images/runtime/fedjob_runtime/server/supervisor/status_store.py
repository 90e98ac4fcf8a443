"""The status that the supervisor shows: one frozen value, replaced as a whole, with a sequence."""

from __future__ import annotations

import threading
import time
from typing import Any, Literal

from fedjob.protocol.server_status import RunEvent, ServerStatus

KEPT_EVENTS = 100


class StatusStore:
    """Holds the current ServerStatus; readers may wait for a change."""

    def __init__(self, status: ServerStatus) -> None:
        self._status = status
        self._changed = threading.Condition(threading.RLock())

    @property
    def status(self) -> ServerStatus:
        """The status now."""
        return self._status

    def update(self, **changes: Any) -> None:
        """Replaces fields; the sequence grows only where something differs."""
        with self._changed:
            new = self._status.model_copy(update=changes)
            if new != self._status:
                self._status = new.model_copy(update={"sequence": self._status.sequence + 1})
                self._changed.notify_all()

    def event(
        self, reason: str, message: str, kind: Literal["Normal", "Warning"] = "Normal"
    ) -> None:
        """Adds an event."""
        event = RunEvent(time=time.time(), type=kind, reason=reason, message=message)
        with self._changed:
            self.update(events=[*self._status.events, event][-KEPT_EVENTS:])

    def count(self, kind: str) -> None:
        """Counts a transient fault."""
        with self._changed:
            retries = dict(self._status.retries)
            retries[kind] = retries.get(kind, 0) + 1
            self.update(retries=retries)

    def wait(self, since: int, seconds: float) -> ServerStatus:
        """The status once its sequence is above `since`, or after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._status.sequence > since, seconds)
            return self._status

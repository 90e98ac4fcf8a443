"""The end of a server start: the last status is kept, and the workers are released."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from fedjob.protocol.config import ServerConfig
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob_runtime.atomic_json import write_json
from fedjob_runtime.server.clock import Clock, Stopped
from fedjob_runtime.server.orders import ParentError
from fedjob_runtime.server.supervisor.failure_policy import Failure
from fedjob_runtime.server.supervisor.status_store import StatusStore
from fedjob_runtime.termination_message import leave_termination_message

RELEASE_SECONDS = 15.0
"""Seconds that the workers may take to leave."""


class ReleasingParent(Protocol):
    """NVFlare's parent process, as the end of a run uses it."""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""

    def shut_clients_down(self) -> bool:
        """Tells every client that the run is over; False while a job still ends."""


def finish(config: ServerConfig, status: StatusStore, phase: RunPhase, end: Failure) -> None:
    """Shows how the run ended, and keeps it."""
    status.update(phase=phase, reason=str(end.reason), message=end.message, current=None)
    save_status(config, status.status)


def save_status(config: ServerConfig, status: ServerStatus) -> None:
    """Leaves the last status in the log and on disk, for readers after the port is closed."""
    end = f"{status.reason}: {status.message}" if status.reason else f"round {status.completed}"
    sys.stdout.write(f"fedjob-server: {status.phase.value}: {end}\n")
    sys.stdout.flush()
    write_json(Path(config.home) / "status.json", status.model_dump(mode="json", by_alias=True))
    leave_termination_message(status.phase.value, status.reason, status.message)


def release_workers(parent: ReleasingParent, connected: Callable[[], bool], clock: Clock) -> None:
    """Tells the workers that the run is over and waits until they have left, for a bounded time.

    Workers that are not reached are ended by whoever started them.

    Args:
        parent: NVFlare's parent process.
        connected: Whether any worker is still connected.
        clock: Time.
    """
    deadline = clock.monotonic() + RELEASE_SECONDS
    with contextlib.suppress(ParentError, Stopped):
        while parent.alive and not parent.shut_clients_down():
            if clock.monotonic() > deadline:
                return
            clock.sleep(0.5)
        while connected() and clock.monotonic() < deadline:
            clock.sleep(0.2)

"""Inside NVFlare's server parent: publishes who is connected, for the supervisor.

The cell network's callbacks report a lost connection within a fraction of a second; NVFlare itself
notices after a heartbeat timeout. A worker's incarnation is a digest of the token it got at
registration: it changes with each registration, and the token itself stays here.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext
from nvflare.widgets.widget import Widget

from fedjob_runtime.atomic_json import write_json
from fedjob_runtime.nvflare_site.patches import observe_job_outcomes
from fedjob_runtime.server.ipc import CLIENTS

_EVENTS = {
    EventType.SYSTEM_START,
    EventType.CLIENT_REGISTER_PROCESSED,
    EventType.CLIENT_HEARTBEAT_PROCESSED,
    EventType.CLIENT_QUIT,
    EventType.JOB_STARTED,
    EventType.JOB_COMPLETED,
    EventType.JOB_ABORTED,
}


MOST_ENDED = 1000
"""Ends of job processes that are kept; only those of the latest jobs matter."""


class ClientRegistry(Widget):
    """Writes `folder`/clients.json at every change of the set of clients, cells or jobs."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._file = Path(folder) / CLIENTS
        self._gone: dict[str, float] = {}
        self._ended: list[str] = []

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Publishes on the events that change membership."""
        if event_type not in _EVENTS:
            return
        engine = fl_ctx.get_engine()
        if event_type == EventType.SYSTEM_START:
            self._watch_connections(engine)
        self._publish(engine)

    def _watch_connections(self, engine: Any) -> None:
        core = engine.cell.core_cell

        def connected(_agent: Any) -> None:
            self._publish(engine)

        def disconnected(agent: Any) -> None:
            self._gone[agent.endpoint.name] = time.time()
            self._publish(engine)

        def ended(job: str, client: str) -> None:
            self._ended = [*self._ended[1 - MOST_ENDED :], f"{client}.{job}"]
            self._publish(engine)

        observe_job_outcomes(engine.job_runner, ended)
        core.set_cell_connected_cb(connected)
        core.set_cell_disconnected_cb(disconnected)

    def _publish(self, engine: Any) -> None:
        clients = {}
        for token, client in dict(engine.client_manager.clients).items():
            # After a lost connection a client counts again with its next message.
            if client.last_connect_time > self._gone.get(client.name, 0.0):
                clients[client.name] = {
                    "incarnation": hashlib.sha256(token.encode()).hexdigest()[:12],
                    "last_heartbeat": client.last_connect_time,
                }
        write_json(
            self._file,
            {
                "pid": os.getpid(),
                "clients": clients,
                "cells": list(engine.cell.core_cell.agents),
                "jobs": list(engine.run_processes),
                "ended": self._ended,
            },
        )

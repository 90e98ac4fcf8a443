"""The server's /status on this machine: one answer, and a thread that follows it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from pathlib import Path

from fedjob.protocol import status_poll
from fedjob.protocol.server_status import ServerStatus
from fedjob.protocol.status_poll import Follower

WAIT = 2.0
"""Seconds that the server may hold an answer back; bounds how long `stop` takes."""
RETRY = 0.3
"""Seconds between tries while the server does not answer."""


def fetch(port: int, query: str = "wait=0", wait: float = 0.0) -> ServerStatus | None:
    """Ask the server on this machine for its status.

    Args:
        port: Its HTTP port.
        query: Of `status_poll.query`.
        wait: Seconds that the query lets the server hold the answer back.

    Returns:
        The status; None when the server does not answer, or answers something else.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=wait + 5.0)
    try:
        connection.request("GET", f"/status?{query}")
        answer = connection.getresponse()
        body = answer.read()
        return status_poll.parse(body) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def read_file(path: Path) -> ServerStatus | None:
    """The status that the server wrote to `home/status.json` at its end, if any."""
    try:
        return status_poll.parse(path.read_bytes())
    except OSError:
        return None


class StatusFollower:
    """Calls `on_change` with every new status, from its own thread."""

    def __init__(self, port: int, on_change: Callable[[ServerStatus], None]) -> None:
        self._port = port
        self._on_change = on_change
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="status", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; returns when the last answer is in, after WAIT seconds at most."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(WAIT + 6.0)

    def _follow(self) -> None:
        follower = Follower()
        while not self._stopped.is_set():
            status = fetch(self._port, follower.query(WAIT), WAIT)
            if status is None:
                follower.lost()
                self._stopped.wait(RETRY)
            elif follower.is_new(status):
                self._on_change(status)

"""Follows the server's /status by long-poll, in a thread, through restarts of the server."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from fedjob.protocol.server_status import ServerStatus

WAIT = 2.0
"""Seconds that the server may hold an answer back; bounds how long `stop` takes."""
RETRY = 0.3
"""Seconds between tries while the server does not answer."""


def fetch(port: int, since: int | None = None, wait: float = 0.0) -> ServerStatus | None:
    """Ask the server on this machine for its status.

    Args:
        port: Its HTTP port.
        since: Answer only when the sequence is above this, or after `wait`.
        wait: Seconds.

    Returns:
        The status; None when the server does not answer, or answers something else.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=wait + 5.0)
    query = "" if since is None else f"?since={since}&wait={wait:g}"
    try:
        connection.request("GET", f"/status{query}")
        answer = connection.getresponse()
        body = answer.read()
        return ServerStatus.model_validate_json(body) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValidationError):
        return None
    finally:
        connection.close()


def read_file(path: Path) -> ServerStatus | None:
    """The status that the server wrote to `home/status.json` at its end, if any."""
    try:
        return ServerStatus.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


class StatusFollower:
    """Calls `on_change` with every new status, from a thread of its own."""

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
        since: int | None = None
        seen: tuple[int, int] | None = None
        while not self._stopped.is_set():
            status = fetch(self._port, since, WAIT)
            if status is None:
                since = None  # A server that starts anew counts from 0 again.
                self._stopped.wait(RETRY)
                continue
            since = status.sequence
            if (status.attempt, status.sequence) != seen:
                seen = (status.attempt, status.sequence)
                self._on_change(status)

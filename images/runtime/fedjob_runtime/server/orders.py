"""Orders of the supervisor to the agent, which runs NVFlare: one JSON object a line, answered.

    {"order": "start", "protocol": 1, "fresh": true}       → {}
    {"order": "state"}                                     → {"alive": true, "out_of_memory": false}
    {"order": "peers"}                                     → {"count": 2}
    {"order": "submit", "segment": 7, "start_round": 3, "clients": ["worker-0"]} → {"job": "<id>"}
    {"order": "abort", "job": "<id>"}                      → {}
    {"order": "release"}                                   → {"over": true}
    {"order": "export", "round": 9}                        → {}

In place of any answer: {"error": "..."} where a fresh start may help, {"refused": "..."} where none
does. NVFlare runs for as long as the connection is open: closing it, also by dying, is the order to
kill. Neither side trusts the other's lines: they are bounded, and every wait has an end.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any, Final

from fedjob.errors import FedjobError
from fedjob.reasons import Reason

PROTOCOL: Final = 1
"""Raised when an order changes; supervisor and agent may come from different images."""
SOCKET: Final = "agent.sock"
"""File name of the agent's socket, in the folder of its reports."""
MOST_LINE: Final = 256 * 1024
"""Bytes of a line."""


class ParentError(FedjobError):
    """NVFlare's server or its agent did not do what it was asked; the supervisor restarts it."""


class SegmentRefusedError(FedjobError):
    """NVFlare or the agent refuses the job itself, and would refuse it again."""

    reason = Reason.FEDERATION_FAILED


class Lines:
    """One JSON object a line, over a connected stream socket.

    Args:
        connection: Closed by whoever opened it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._read = b""

    def send(self, message: dict[str, Any], seconds: float) -> None:
        """Sends one line.

        Args:
            message: What it says.
            seconds: How long the peer may take to read it.

        Raises:
            OSError: The peer is gone or does not read.
        """
        self._connection.settimeout(seconds)
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next line; None when the peer has closed the connection.

        Args:
            seconds: For the whole line, however slowly it drips; None waits for ever.

        Raises:
            TimeoutError: It did not come in time.
            OSError: The connection broke.
            ValueError: The line is too long, or not a JSON object.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._read:
            if len(self._read) > MOST_LINE:
                raise ValueError(f"a line has more than {MOST_LINE} bytes")
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError("no answer in time")
            self._connection.settimeout(left)
            data = self._connection.recv(65536)
            if not data:
                return None
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        try:
            message = json.loads(line)
        except RecursionError:
            raise ValueError("a line is nested too deeply") from None
        if not isinstance(message, dict):
            raise ValueError("a line is not a JSON object")
        return message

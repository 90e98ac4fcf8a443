"""NVFlare's server as the supervisor uses it: orders to the agent, which is not trusted."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import stat
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fedjob_runtime.server.clock import Clock
from fedjob_runtime.server.orders import (
    PROTOCOL,
    SOCKET,
    Lines,
    ParentError,
    SegmentRefusedError,
)

CONNECT_SECONDS = 60.0
"""Seconds to wait for an agent: its container may be starting."""
POLL_SECONDS = 0.2
ALIVE_SECONDS = 1.0
"""Seconds for which an answer that NVFlare's parent runs is believed: loops ask ten times as often.
"""
SEND_SECONDS = 10.0
ANSWER_SECONDS: Final[Mapping[str, float]] = {"submit": 90.0, "export": 900.0}
"""Seconds that the agent may take for an order; NVFlare's admin session gives up after 20."""
USUAL_SECONDS = 60.0
MOST_TEXT = 2000
"""Characters of the agent's messages that are shown."""


class AgentClient:
    """The agent, for the loop of segments and the end of the run.

    Args:
        reports: The agent's folder, which has its socket.
        clock: Waits for the agent; its `sleep` may raise.
    """

    def __init__(self, reports: Path, clock: Clock) -> None:
        self._reports = reports
        self._clock = clock
        self._fresh = True
        self._one_at_a_time = threading.Lock()
        self._connection: socket.socket | None = None
        self._lines: Lines | None = None
        self._out_of_memory = False
        self._alive_until = -math.inf

    @property
    def alive(self) -> bool:
        """Whether NVFlare's parent process runs, as of the last `ALIVE_SECONDS`."""
        if self._connection is not None and self._clock.monotonic() < self._alive_until:
            return True
        return self._ask_alive()

    def _ask_alive(self) -> bool:
        if self._connection is None:
            return False
        try:
            answer = self._ask("state")
        except (ParentError, SegmentRefusedError):
            return False
        self._out_of_memory |= answer.get("out_of_memory") is True
        alive = answer.get("alive") is True
        if alive:
            self._alive_until = self._clock.monotonic() + ALIVE_SECONDS
        return alive

    def peers(self) -> int:
        """Connections to NVFlare's port, as the agent counts them.

        Raises:
            ParentError: It does not answer.
        """
        count = self._ask("peers").get("count")
        if not isinstance(count, int):
            raise self._broken("it counts no connections")
        return count

    def exceeded(self) -> bool:
        """Whether a process of the agent's container was OOM-killed, as far as it could tell."""
        # A process may have been killed since the answer that `alive` still goes by.
        self._ask_alive()
        return self._out_of_memory

    def start(self) -> None:
        """Starts NVFlare's parent; the first time what is in the agent's folder is dropped.

        Raises:
            ParentError: There is no agent, or it does not do it.
            SegmentRefusedError: The agent is of another release.
        """
        self._ask("start", protocol=PROTOCOL, fresh=self._fresh)
        self._fresh = False

    def kill(self) -> None:
        """Ends NVFlare's processes: the agent kills them when the connection closes."""
        connection, self._connection, self._lines = self._connection, None, None
        self._alive_until = -math.inf
        if connection is not None:
            # Also wakes a thread that waits for an answer.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def submit(self, *, segment: int, start_round: int, clients: Sequence[str]) -> str:
        """Submits a segment; the id of its NVFlare job.

        Raises:
            SegmentRefusedError: NVFlare refuses the job every time.
            ParentError: It was not accepted; NVFlare should be restarted.
        """
        answer = self._ask(
            "submit", segment=segment, start_round=start_round, clients=list(clients)
        )
        job = answer.get("job")
        if not isinstance(job, str) or not 0 < len(job) <= 100:
            raise self._broken("it names no job")
        return job

    def abort(self, job: str) -> None:
        """Aborts a job; one that is over already is not an error."""
        with contextlib.suppress(ParentError):
            self._ask("abort", job=job)

    def shut_clients_down(self) -> bool:
        """Tells every client that the run is over; False while a job still ends."""
        return self._ask("release").get("over") is True

    def export(self, number: int) -> None:
        """Has the model of a round written as torch.load reads it, in the agent's folder.

        Raises:
            ParentError: It could not be.
        """
        self._ask("export", round=number)

    def _ask(self, order: str, **fields: Any) -> dict[str, Any]:
        with self._one_at_a_time:
            lines = self._connected()
            try:
                lines.send({"order": order, **fields}, SEND_SECONDS)
                answer = lines.receive(ANSWER_SECONDS.get(order, USUAL_SECONDS))
            except (OSError, ValueError) as error:
                raise self._broken(str(error) or type(error).__name__) from None
            if answer is None:
                raise self._broken("it closed the connection")
        if "refused" in answer and order in ("start", "submit"):
            raise SegmentRefusedError(str(answer["refused"])[:MOST_TEXT])
        for fault in ("error", "refused"):
            if fault in answer:
                raise ParentError(str(answer[fault])[:MOST_TEXT])
        return answer

    def _broken(self, why: str) -> ParentError:
        self.kill()
        return ParentError(f"the agent of NVFlare's server did not answer: {why[:MOST_TEXT]}")

    def _connected(self) -> Lines:
        if self._lines is not None:
            return self._lines
        deadline = self._clock.monotonic() + CONNECT_SECONDS
        while True:
            try:
                self._connection = _connect(self._reports)
            except OSError as error:
                if self._clock.monotonic() >= deadline:
                    raise ParentError(
                        f"no agent of NVFlare's server answers within {CONNECT_SECONDS:g} s: "
                        f"{error.strerror or error}; see the log of the container federation"
                    ) from None
                self._clock.sleep(POLL_SECONDS)
            else:
                self._lines = Lines(self._connection)
                return self._lines


def _connect(reports: Path) -> socket.socket:
    """Connects to the socket in the folder, and not to one that a link there leads to.

    Raises:
        OSError: There is none, or nobody listens.
    """
    folder = os.open(reports, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = os.open(SOCKET, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            raise OSError(f"{SOCKET} is not a socket")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(SEND_SECONDS)
            connection.connect(f"/proc/self/fd/{found}")
        except OSError:
            connection.close()
            raise
    finally:
        os.close(found)
    return connection

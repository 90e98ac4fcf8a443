"""The protocol of `GET /status`, whatever carries it: the query, the answer, what has changed.

The local engine asks over loopback from a thread, the operator over the pod network or through the
API server from asyncio. Both follow a server through its restarts by the same rules, which are
here.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from fedjob.protocol.bounded_json import has_too_many_values
from fedjob.protocol.server_status import ServerStatus


def query(since: int | None, wait: float) -> str:
    """The query string of a request.

    Args:
        since: Answer only when the sequence is above this; None: answer at once.
        wait: Seconds that the server may hold the answer back.
    """
    return "wait=0" if since is None else f"since={since}&wait={wait:g}"


def parse(body: bytes | str) -> ServerStatus | None:
    """The status in an answer; None where it is something else."""
    if has_too_many_values(body):
        return None
    try:
        return ServerStatus.model_validate_json(body)
    except ValidationError:
        return None


@dataclass(slots=True)
class Follower:
    """Where a reader of one server's status stands. Not safe for use from several threads.

    Attributes:
        since: Sequence of the last answer; None where the next request must not wait.
    """

    since: int | None = None
    _seen: tuple[int, int] | None = None

    def query(self, wait: float) -> str:
        """The query string of the next request; see `query`."""
        return query(self.since, wait)

    def lost(self) -> None:
        """The server did not answer: a new start of it counts from 0 again."""
        self.since = None

    def is_new(self, status: ServerStatus) -> bool:
        """Take an answer in; whether it differs from the last one."""
        self.since = status.sequence
        seen, self._seen = self._seen, (status.attempt, status.sequence)
        return self._seen != seen

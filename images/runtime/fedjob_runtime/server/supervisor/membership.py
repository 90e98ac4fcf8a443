"""Who is connected: what the client registry published, read as one value. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Membership:
    """The clients, cells and jobs that NVFlare's parent sees at one moment.

    Attributes:
        clients: Live clients by name; the value is the incarnation, which changes at each
            registration.
        last_heartbeats: When each registered client sent its last message, seconds since the epoch.
        cells: Fully qualified names of connected cells; a job process is `<client>.<job id>`.
        jobs: Ids of the running jobs.
        ended: Names of cells whose job process has ended, as its worker reported.
    """

    clients: Mapping[str, str] = field(default_factory=dict)
    last_heartbeats: Mapping[str, float] = field(default_factory=dict)
    cells: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()

    def job_cells(self, job: str) -> frozenset[str]:
        """The clients whose job process for `job` is connected."""
        return _clients_of(self.cells, job)

    def ended_in(self, job: str) -> frozenset[str]:
        """The clients that reported the end of their job process for `job`."""
        return _clients_of(self.ended, job)


def _clients_of(cells: frozenset[str], job: str) -> frozenset[str]:
    suffix = f".{job}"
    return frozenset(cell.removesuffix(suffix) for cell in cells if cell.endswith(suffix))


def read_membership(published: Mapping[str, Any] | None, now: float, silence: float) -> Membership:
    """Reads what the client registry published.

    Args:
        published: The content of clients.json, or None before the parent is up.
        now: Seconds since the epoch.
        silence: Seconds after which a client that sends no heartbeat is dropped (heartBeatTimeout).
    """
    if published is None:
        return Membership()
    cells = frozenset(published["cells"])
    heartbeats = {
        name: float(client["last_heartbeat"]) for name, client in published["clients"].items()
    }
    live = {
        name: str(client["incarnation"])
        for name, client in published["clients"].items()
        if name in cells and now - heartbeats[name] < silence
    }
    jobs, ended = frozenset(published["jobs"]), frozenset(published["ended"])
    return Membership(live, heartbeats, cells, jobs, ended)

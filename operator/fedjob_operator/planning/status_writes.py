"""How often a status is written.

Conditions and the state are written when they change; rounds, clients and metrics at most every
PROGRESS_SECONDS; heartbeats alone at most every HEARTBEAT_SECONDS. A job in which only heartbeats
arrive is therefore written at most twelve times a minute, however many workers it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedjob_operator.naming import Body

HEARTBEAT_SECONDS = 5
PROGRESS_SECONDS = 2.0
_PROGRESS = frozenset({"rounds", "history", "clients", "metric", "metrics", "eta", "retries"})


def write_delay(old: Mapping[str, Any], new: Body, since: float) -> float | None:
    """Seconds until a status should be written; None where nothing differs.

    Args:
        old: The status that the API server has.
        new: The status that it should have.
        since: Seconds since this job's status was last written.
    """
    if dict(old) == new:
        return None
    differs = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    if differs <= {"clients"} and _only_heartbeats_differ(old, new):
        return max(0.0, HEARTBEAT_SECONDS - since)
    if differs <= _PROGRESS:
        return max(0.0, PROGRESS_SECONDS - since)
    return 0.0


def _only_heartbeats_differ(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    def without_heartbeats(status: Mapping[str, Any]) -> dict[str, Any]:
        clients = status.get("clients") or {}
        workers = [
            {name: value for name, value in worker.items() if name != "lastHeartbeat"}
            for worker in clients.get("list") or []
        ]
        return {**clients, "list": workers}

    return without_heartbeats(old) == without_heartbeats(new)

"""The folders between supervisor and job process, made on disk."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fedjob_runtime.server.supervisor.handover import SupervisorHandover

WORKERS = ("worker-0", "worker-1", "worker-2")


def handover_in(
    folder: Path, workers: Collection[str] = WORKERS, rounds: int = 99
) -> SupervisorHandover:
    """The supervisor's side, which has everything of the job process's side too."""
    handover = SupervisorHandover(folder, workers, rounds)
    handover.orders.mkdir(parents=True, exist_ok=True)
    handover.reports.mkdir(parents=True, exist_ok=True)
    return handover

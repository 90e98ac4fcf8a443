"""Memory of groups of processes, sampled from /proc while they run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PERIOD_SECONDS = 0.25


class MemorySampler:
    """Keeps the peak of each group's summed PSS until it is left.

    PSS counts a page that several processes share once, divided among them, so that a sum over
    processes is what the group costs the machine. A peak shorter than the period may be missed.

    Args:
        groups: The process ids of every group, read again at each sample.
    """

    def __init__(self, groups: Callable[[], Mapping[str, Sequence[int]]]) -> None:
        self._groups = groups
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self.peaks: dict[str, float] = {}
        """Megabytes (10^6 bytes) of each group that had a process."""

    def __enter__(self) -> MemorySampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_SECONDS):
            for name, pids in self._groups().items():
                total = sum(pss(pid) for pid in pids) / 1e6
                if total > 0:
                    self.peaks[name] = max(total, self.peaks.get(name, 0.0))


def pss(pid: int) -> int:
    """Proportional set size in bytes; 0 for a process that has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0

"""Whether a process of this container was OOM-killed.

The kernel kills the largest process, which is the one that trains; where it does not kill the whole
container with it, Kubernetes reports nothing (cgroup v1, or v2 without memory.oom.group).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
)
"""Counter files of cgroup v2 and v1, at the paths that a container sees."""


class MemoryWatch:
    """Counts OOM kills since its creation.

    Args:
        counters: Files with a line `oom_kill <n>`; the first that exists is read.
    """

    def __init__(self, counters: Sequence[Path] = COUNTERS) -> None:
        self._counters = counters
        self._before = self._count()

    def exceeded(self) -> bool:
        """Whether a process was killed since then."""
        return self._count() > self._before

    def _count(self) -> int:
        for path in self._counters:
            try:
                found = re.search(r"(?m)^oom_kill (\d+)$", path.read_text())
            except OSError:
                continue
            if found is not None:
                return int(found[1])
        return 0

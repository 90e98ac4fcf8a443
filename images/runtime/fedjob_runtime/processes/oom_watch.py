"""Whether the kernel has ended a process of this container for want of memory.

The kernel ends the largest process, which is the one that trains; where it does not end the whole
container with it, Kubernetes has nothing to tell (cgroup v1, or v2 without memory.oom.group).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
)
"""Of cgroup v2 and v1, as a container sees its own."""


class MemoryWatch:
    """Counts from when it is made.

    Args:
        counters: Files with a line `oom_kill <n>`; the first that is there counts.
    """

    def __init__(self, counters: Sequence[Path] = COUNTERS) -> None:
        self._counters = counters
        self._before = self._count()

    def exceeded(self) -> bool:
        """Whether a process has been ended since."""
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

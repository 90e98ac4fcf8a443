"""Row 30: the kernel's count of processes that it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedjob_runtime.processes.oom_watch import MemoryWatch

V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
V2 = "low 0\nhigh 0\nmax 7\noom 3\noom_kill {}\noom_group_kill 0\n"


@pytest.mark.parametrize("text", [V1, V2], ids=["cgroup v1", "cgroup v2"])
def test_what_was_before_does_not_count(tmp_path: Path, text: str) -> None:
    file = tmp_path / "events"
    file.write_text(text.format(2))
    watch = MemoryWatch([tmp_path / "absent", file])
    assert not watch.exceeded()
    file.write_text(text.format(3))
    assert watch.exceeded()


def test_without_a_counter_nothing_is_claimed(tmp_path: Path) -> None:
    assert not MemoryWatch([tmp_path / "absent"]).exceeded()

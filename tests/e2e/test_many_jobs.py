"""Many jobs at once, and names as long as they may be."""

from __future__ import annotations

import pytest

from e2e.recorder import commits, give_shards, recorder
from e2e.stage import Stage, is_complete

pytestmark = pytest.mark.e2e

LONGEST = "n" * 40
ROUNDS = 2
SMALL = {"requests": {"cpu": "20m", "memory": "300Mi"}}


def test_ten_jobs_in_two_namespaces_finish_side_by_side(stage: Stage) -> None:
    """Row 41. Jobs of one name in two namespaces, one pair of them with names at their limits."""
    names = ["same", LONGEST, "two", "three", "four"]
    jobs = [(name, where) for name in names for where in (stage.jobs, stage.other)]
    for index, (name, where) in enumerate(jobs):
        give_shards(stage, name, 4 + index, namespace=where)
    for name, where in jobs:
        placed = {"gpu": 0, "resources": SMALL}
        sections = recorder(ROUNDS) | {"workers": placed, "server": {"resources": SMALL}}
        stage.submit(name, where, **sections)
    for index, (name, where) in enumerate(jobs):
        status = stage.until(name, is_complete, seconds=900, namespace=where)
        assert status["rounds"]["display"] == f"{ROUNDS}/{ROUNDS}"
        assert f"jobs/{where}/{name}/" in status["result"]["uri"]
        # Each was trained on its own shard: nothing came from a job beside it.
        made = commits(stage, name, where)
        assert [c.round for c in made] == list(range(ROUNDS + 1))
        assert {p.samples for c in made[1:] for p in c.participants} == {4 + index}
    for name, where in jobs:
        stage.delete(name, where)
        stage.nothing_is_left(name, where)

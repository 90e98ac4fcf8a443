"""Many jobs in parallel, with names of maximal length."""

from __future__ import annotations

import pytest

from e2e.cluster_access.operator_deployment import OperatorDeployment, is_complete
from e2e.cluster_access.recorder import commits, recorder, upload_shards

pytestmark = pytest.mark.e2e

LONGEST = "n" * 40
ROUNDS = 2
SMALL = {"requests": {"cpu": "20m", "memory": "300Mi"}}


def test_ten_jobs_in_two_namespaces_finish_in_parallel(deployment: OperatorDeployment) -> None:
    """Row 41. The same names in two namespaces; one pair has names of maximal length."""
    names = ["same", LONGEST, "two", "three", "four"]
    jobs = [(name, where) for name in names for where in (deployment.jobs, deployment.other)]
    for index, (name, where) in enumerate(jobs):
        upload_shards(deployment, name, 4 + index, namespace=where)
    for name, where in jobs:
        placed = {"gpu": 0, "resources": SMALL}
        sections = recorder(ROUNDS) | {"workers": placed, "server": {"resources": SMALL}}
        deployment.submit(name, where, **sections)
    for index, (name, where) in enumerate(jobs):
        status = deployment.until(name, is_complete, seconds=900, namespace=where)
        assert status["rounds"]["display"] == f"{ROUNDS}/{ROUNDS}"
        assert f"jobs/{where}/{name}/" in status["result"]["uri"]
        # Each was trained on its own shard: nothing leaked from another job.
        made = commits(deployment, name, where)
        assert [c.round for c in made] == list(range(ROUNDS + 1))
        assert {p.samples for c in made[1:] for p in c.participants} == {4 + index}
    for name, where in jobs:
        deployment.delete(name, where)
        deployment.wait_until_gone(name, where)

"""A job deleted in any phase leaves nothing, and its name can be reused immediately."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.cluster_access.operator_deployment import OperatorDeployment, is_complete
from e2e.cluster_access.recorder import commits, recorder, upload_shards
from fedjob.storage.layout import Layout

pytestmark = pytest.mark.e2e

NAME = "phases"
STUCK: list[tuple[str, dict[str, Any]]] = [
    ("Pending", {"storage": {"bucket": "jobs", "secretRef": {"name": "not-there"}}}),
    ("Building", {"image": {"repository": "localhost:5999/x"}}),
    ("Starting", {"server": {"nodeSelector": {"no": "node"}}, "workers": {"gpu": 0}}),
    ("Suspended", {"runPolicy": {"suspend": True}}),
    ("Failed", {"runPolicy": {"activeDeadlineSeconds": 1}, "workers": {"gpu": 0}}),
]
"""Phases, each with spec sections that keep a job in it."""


def objects_of(deployment: OperatorDeployment, uid: str) -> list[str]:
    """The objects that the job with this uid still owns."""
    kinds = "pods,services,secrets,configmaps,networkpolicies"
    return [
        f"{item['kind']}/{item['metadata']['name']}"
        for item in deployment.get(kinds)["items"]
        if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", []))
    ]


def test_job_deleted_in_any_phase_leaves_nothing_and_can_be_recreated(
    deployment: OperatorDeployment,
) -> None:
    """Row 41; one name through all phases, each job created as soon as the last is deleted."""
    upload_shards(deployment, NAME, 4)
    deleted: list[str] = []
    for phase, sections in STUCK:
        deployment.submit(NAME, **(recorder(2) | sections))
        uid = deployment.get("fj", NAME)["metadata"]["uid"]
        status = deployment.until(NAME, lambda s, phase=phase: s.get("state") == phase)  # type: ignore[misc]
        assert status.get("rounds", {}).get("completed", 0) == 0
        deployment.delete(NAME)
        deleted.append(uid)

    # Deleted during training, during a recovery, and after the end.
    deployment.submit(NAME, **recorder(500, pause=0.5))
    deleted.append(deployment.get("fj", NAME)["metadata"]["uid"])
    deployment.until(NAME, lambda s: s.get("rounds", {}).get("completed", 0) >= 2)
    deployment.delete(NAME)

    deployment.submit(NAME, **recorder(3, pause=0.5))
    deleted.append(deployment.get("fj", NAME)["metadata"]["uid"])
    status = deployment.until(NAME, lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    # The new job does not count rounds of the deleted one.
    assert status["history"][0]["round"] == 1
    assert status["rounds"]["total"] == 3
    deployment.kubectl("-n", deployment.jobs, "delete", "pod", f"{NAME}-server", "--wait=false")
    deployment.until(NAME, lambda s: s.get("state") == "Recovering")
    deployment.delete(NAME)

    deployment.submit(NAME, **recorder(2))
    deleted.append(deployment.get("fj", NAME)["metadata"]["uid"])
    deployment.until(NAME, is_complete)
    made = commits(deployment, NAME)
    assert [commit.round for commit in made] == [0, 1, 2]
    assert all(commit.attempt == 1 for commit in made)
    deployment.delete(NAME)

    deployment.wait_until_gone(NAME)
    assert {uid: objects_of(deployment, uid) for uid in deleted} == {uid: [] for uid in deleted}
    # Results and shards stay in the store.
    kept = [info.key for info in deployment.bucket.list(Layout(deployment.jobs, NAME).root)]
    assert Layout(deployment.jobs, NAME).shard("part-0.zip") in kept
    assert any("/model_out/model.safetensors" in key for key in kept), json.dumps(kept)

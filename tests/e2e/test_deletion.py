"""A job deleted in every phase leaves nothing; created again at once it starts afresh."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.recorder import commits, give_shards, recorder
from e2e.stage import Stage, is_complete
from fedjob.storage.layout import Layout

pytestmark = pytest.mark.e2e

NAME = "phases"
HELD: list[tuple[str, dict[str, Any]]] = [
    ("Pending", {"storage": {"bucket": "jobs", "secretRef": {"name": "not-there"}}}),
    ("Building", {"image": {"repository": "localhost:5999/x"}}),
    ("Starting", {"server": {"nodeSelector": {"no": "node"}}, "workers": {"gpu": 0}}),
    ("Suspended", {"runPolicy": {"suspend": True}}),
    ("Failed", {"runPolicy": {"activeDeadlineSeconds": 1}, "workers": {"gpu": 0}}),
]
"""A phase, and what keeps a job in it."""


def objects_of(stage: Stage, uid: str) -> list[str]:
    """What the job of this uid still owns."""
    kinds = "pods,services,secrets,configmaps,networkpolicies"
    return [
        f"{item['kind']}/{item['metadata']['name']}"
        for item in stage.get(kinds)["items"]
        if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", []))
    ]


def test_deleted_in_every_phase_it_leaves_nothing_and_starts_afresh(stage: Stage) -> None:
    """Row 41; the same name through all phases, each job created as soon as the last is gone."""
    give_shards(stage, NAME, 4)
    gone: list[str] = []
    for phase, sections in HELD:
        stage.submit(NAME, **(recorder(2) | sections))
        uid = stage.get("fj", NAME)["metadata"]["uid"]
        status = stage.until(NAME, lambda s, phase=phase: s.get("state") == phase)  # type: ignore[misc]
        assert status.get("rounds", {}).get("completed", 0) == 0
        stage.delete(NAME)
        gone.append(uid)

    # In the middle of training, of a recovery, and after the end.
    stage.submit(NAME, **recorder(500, pause=0.5))
    gone.append(stage.get("fj", NAME)["metadata"]["uid"])
    stage.until(NAME, lambda s: s.get("rounds", {}).get("completed", 0) >= 2)
    stage.delete(NAME)

    stage.submit(NAME, **recorder(3, pause=0.5))
    gone.append(stage.get("fj", NAME)["metadata"]["uid"])
    status = stage.until(NAME, lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    # Afresh: the rounds of the job before are not this one's.
    assert status["history"][0]["round"] == 1
    assert status["rounds"]["total"] == 3
    stage.kubectl("-n", stage.jobs, "delete", "pod", f"{NAME}-server", "--wait=false")
    stage.until(NAME, lambda s: s.get("state") == "Recovering")
    stage.delete(NAME)

    stage.submit(NAME, **recorder(2))
    gone.append(stage.get("fj", NAME)["metadata"]["uid"])
    stage.until(NAME, is_complete)
    made = commits(stage, NAME)
    assert [commit.round for commit in made] == [0, 1, 2]
    assert all(commit.attempt == 1 for commit in made)
    stage.delete(NAME)

    stage.nothing_is_left(NAME)
    assert {uid: objects_of(stage, uid) for uid in gone} == {uid: [] for uid in gone}
    # The results stay, and the shards.
    kept = [info.key for info in stage.bucket.list(Layout(stage.jobs, NAME).root)]
    assert Layout(stage.jobs, NAME).shard("part-0.zip") in kept
    assert any("/model_out/model.safetensors" in key for key in kept), json.dumps(kept)

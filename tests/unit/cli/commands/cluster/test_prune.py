"""`fedjob prune`: removes nothing without --yes, and says for each job what it does."""

import json

import pytest

from fedjob.protocol.config import StoreLocation
from fedjob.storage import bucket as storage
from fedjob.storage.bucket import Bucket
from fedjob.storage.layout import Layout
from fedjob.storage.owner import Owner
from support.s3_client import MemoryClient

OWNER = Owner("uid-1", "2026-11-24T10:00:00Z", "cluster-a")


@pytest.fixture
def client(monkeypatch, fake):
    made = MemoryClient()
    made.clock = 1_000_000.0
    monkeypatch.setattr(storage, "connect", lambda *_, **__: made)
    bucket = Bucket(StoreLocation(bucket="jobs"))
    for name in ("gone", "here"):
        layout = Layout("team", name)
        bucket.put_bytes(layout.shard("a.zip"), b"12345")
        bucket.put_bytes(layout.result("model.safetensors"), b"12345")
        bucket.put_bytes(layout.owner, OWNER.to_json())
    system = {"metadata": {"name": "kube-system", "uid": "cluster-a"}}
    fake.routes["/api/v1/namespaces/kube-system"] = system
    fake.put("here")
    return made


def keys(client):
    return {key.removeprefix("jobs/team/") for key in client.objects}


def test_nothing_is_removed_without_yes(fedjob, client):
    before = keys(client)
    called = fedjob("prune", "-A", "--bucket", "jobs")
    assert called.code == 0, called.err
    head, line = called.out.splitlines()
    assert head.split() == ["NAMESPACE", "NAME", "OBJECTS", "SIZE", "RESULTS", "UPLOADS", "ACTION"]
    assert line.split()[:2] == ["team", "gone"]
    assert line.split()[-1] == "remove"
    assert "give --yes" in called.err
    assert keys(client) == before


def test_yes_removes_what_the_deleted_job_left_but_its_results(fedjob, client):
    called = fedjob("prune", "-n", "team", "--bucket", "jobs", "--yes", "--json")
    assert called.code == 0, called.err
    answer = json.loads(called.out)
    assert [(job["name"], job["removes"]) for job in answer["jobs"]] == [("gone", True)]
    assert keys(client) == {
        "gone/model_out/model.safetensors", "gone/attempts/owner.json",
        "here/shards/a.zip", "here/model_out/model.safetensors", "here/attempts/owner.json",
    }  # fmt: skip
    fedjob("prune", "-n", "team", "--bucket", "jobs", "--yes", "--results")
    assert {key.partition("/")[0] for key in keys(client)} == {"here"}


def test_other_clusters_and_namespaces_are_left_alone(fedjob, client):
    before = keys(client)
    called = fedjob("prune", "-A", "--bucket", "jobs", "--cluster-id", "cluster-b", "--yes")
    assert "kept: of another cluster" in called.out
    called = fedjob("prune", "-n", "mine", "--bucket", "jobs", "--yes")
    assert "nothing to remove" in called.err
    assert keys(client) == before


def test_cluster_that_cannot_be_identified_is_an_error(fedjob, client, fake):
    del fake.routes["/api/v1/namespaces/kube-system"]
    called = fedjob("prune", "-A", "--bucket", "jobs", "--yes")
    assert called.code != 0
    assert "kube-system" in called.err

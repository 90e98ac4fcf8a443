"""What deleted jobs left in a store: found by owner, removed without results, and only theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedjob.protocol.config import StoreLocation
from fedjob.storage import bucket as bucket_module
from fedjob.storage.bucket import Bucket
from fedjob.storage.layout import Layout
from fedjob.storage.owner import Owner
from fedjob.storage.pruning import (
    UPLOAD_SECONDS,
    PruneRules,
    StoredJob,
    Verdict,
    old_uploads,
    remove,
    stored_jobs,
)
from support.s3_client import MemoryClient

HERE = Owner("uid-1", "2026-11-24T10:00:00Z", "cluster-a")
PREFIX = "lab"
LAYOUT = Layout("team", "digits", PREFIX)


class Store:
    """A store in memory with the objects of job team/digits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = MemoryClient()
        monkeypatch.setattr(bucket_module, "connect", lambda *_, **__: self.client)
        self.bucket = Bucket(StoreLocation(endpoint="http://store.test", bucket="jobs"))

    def run(self, layout: Layout = LAYOUT, owner: Owner | None = HERE) -> None:
        """What a run leaves."""
        for key in (
            layout.shard("a.zip"),
            layout.round_file(1, "model.safetensors"),
            layout.commit(1),
            layout.attempt(1),
            layout.under(layout.scripts, "model_def.py"),
            layout.result("model.safetensors"),
            layout.site_log("server", 1),
        ):
            self.bucket.put_bytes(key, b"12345")
        if owner is not None:
            self.bucket.put_bytes(layout.owner, owner.to_json())

    def jobs(self) -> dict[tuple[str, str], StoredJob]:
        """What is found."""
        return {job.key: job for job in stored_jobs(self.bucket, PREFIX)}

    @property
    def names(self) -> set[str]:
        """The keys below the job's prefix."""
        keys = self.client.objects
        return {key.removeprefix(LAYOUT.root) for key in keys if key.startswith(LAYOUT.root)}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    return Store(monkeypatch)


def rules(store: Store, **more: object) -> PruneRules:
    fields: dict[str, object] = {
        "cluster": "cluster-a",
        "existing": (),
        "namespaces": None,
        "written_before": store.client.clock + 1,
        **more,
    }
    return PruneRules(**fields)  # type: ignore[arg-type]


def test_objects_are_counted_by_job(store: Store) -> None:
    store.run()
    store.run(Layout("team", "other", PREFIX), None)
    store.bucket.put_bytes("jobs/team/outside/shards/a.zip", b"1")
    store.bucket.put_bytes(f"{PREFIX}/jobs/Team/not-a-job/x", b"1")
    store.bucket.put_bytes(f"{PREFIX}/jobs/stray", b"1")
    store.bucket.client_uploads().start(LAYOUT.shard("b.zip"), "0" * 64)
    found = store.jobs()
    assert set(found) == {("team", "digits"), ("team", "other")}
    job = found["team", "digits"]
    assert (job.inputs.objects, job.results.objects, job.results.bytes) == (6, 2, 10)
    assert (job.owner, len(job.uploads)) == (HERE, 1)
    assert found["team", "other"].owner is None


@pytest.mark.parametrize(
    ("owner", "more", "verdict"),
    [
        (HERE, {}, Verdict.REMOVE),
        (HERE, {"existing": {("team", "digits")}}, Verdict.EXISTS),
        (HERE, {"existing": {("other", "digits"), ("team", "digit")}}, Verdict.REMOVE),
        (HERE, {"namespaces": ("team",)}, Verdict.REMOVE),
        (HERE, {"namespaces": ("other",)}, Verdict.ELSEWHERE),
        (HERE, {"written_before": 0.0}, Verdict.RECENT),
        (HERE, {"cluster": "cluster-b"}, Verdict.FOREIGN),
        (HERE, {"cluster": "cluster-b", "unclaimed": True}, Verdict.FOREIGN),
        (None, {}, Verdict.UNCLAIMED),
        (None, {"unclaimed": True}, Verdict.REMOVE),
        (replace(HERE, cluster=""), {}, Verdict.UNCLAIMED),
        (replace(HERE, cluster=""), {"unclaimed": True}, Verdict.REMOVE),
    ],
)
def test_verdicts(
    store: Store, owner: Owner | None, more: dict[str, object], verdict: Verdict
) -> None:
    store.run(owner=owner)
    assert rules(store, **more).judge(store.jobs()["team", "digits"]) is verdict


def test_results_and_the_owner_stay_unless_they_are_asked_for(store: Store) -> None:
    store.run()
    neighbour = Layout("team", "digits-2", PREFIX)
    store.run(neighbour)
    before = len(store.client.objects)
    removed = remove(store.bucket, store.jobs()["team", "digits"], results=False)
    assert (removed.objects, removed.bytes) == (5, 25)
    kept = {"model_out/model.safetensors", "files_out/logs/server/1.log", "attempts/owner.json"}
    assert store.names == kept
    assert len(store.client.objects) == before - 5
    left = store.jobs()["team", "digits"]
    assert rules(store).judge(left) is Verdict.RESULTS
    assert rules(store, results=True).judge(left) is Verdict.REMOVE
    remove(store.bucket, left, results=True)
    assert store.names == set()
    assert store.jobs().keys() == {("team", "digits-2")}


def test_job_that_takes_the_prefix_meanwhile_loses_nothing(store: Store) -> None:
    store.run()
    job = store.jobs()["team", "digits"]
    later = replace(HERE, uid="uid-2")
    store.bucket.put_bytes(LAYOUT.owner, later.to_json())
    upload = store.bucket.client_uploads().start(LAYOUT.shard("b.zip"), "0" * 64)
    before = store.names
    assert remove(store.bucket, job, results=True).objects == 0
    assert store.names == before
    assert upload in store.client.uploads


def test_uploads_of_a_deleted_job_go_with_it(store: Store) -> None:
    store.run()
    store.bucket.client_uploads().start(LAYOUT.shard("b.zip"), "0" * 64)
    remove(store.bucket, store.jobs()["team", "digits"], results=False)
    assert store.client.uploads == {}


def test_running_jobs_keep_uploads_of_clients_and_recent_ones(store: Store) -> None:
    store.run()
    uploads = store.bucket.client_uploads()
    old = uploads.start(LAYOUT.round_file(2, "model.safetensors"), "0" * 64)
    uploads.start(LAYOUT.shard("b.zip"), "0" * 64)
    store.client.clock += UPLOAD_SECONDS + 1
    uploads.start(LAYOUT.round_file(3, "model.safetensors"), "0" * 64)
    found = old_uploads(store.jobs()["team", "digits"], store.client.clock)
    assert [upload.upload_id for upload in found] == [old]

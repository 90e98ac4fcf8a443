"""The owner of a prefix: recorded last, and never taken back by an earlier job."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fedjob.reasons import Reason
from fedjob.storage.owner import Owner, read_owner
from fedjob_operator.stages.errors import StageError
from fedjob_operator.stages.ownership import owner_of, take_ownership
from support.operator.samples import UID, a_job
from support.operator.upload_store import ROOT, UploadStore

HERE, ELSEWHERE = "cluster-a", "cluster-b"
OLD, NEW = Owner("uid-1", "2026-11-24T10:00:00Z"), Owner("uid-2", "2026-11-24T10:00:05Z")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> UploadStore:
    return UploadStore(monkeypatch.setattr)


def test_owner_is_the_job_with_its_creation_time_and_its_cluster() -> None:
    assert owner_of(a_job(), "here") == Owner(UID, "", "here")


def test_owner_is_read_back(store: UploadStore) -> None:
    key = store.layout.owner
    assert read_owner(store.bucket(), key) is None
    take_ownership(store.bucket(), store.layout, OLD, lambda: None)
    assert read_owner(store.bucket(), key) == OLD


@pytest.mark.parametrize("uploads", [True, False])
def test_uploads_of_an_earlier_owner_are_aborted_where_asked(
    store: UploadStore, uploads: bool
) -> None:
    take_ownership(store.bucket(), store.layout, OLD, lambda: None)
    store.bucket().client_uploads().start(f"{ROOT}shards/a.zip", "0" * 64)
    store.bucket().client_uploads().start("jobs/team/digits-2/shards/a.zip", "0" * 64)
    take_ownership(store.bucket(), store.layout, OLD, lambda: None, uploads=uploads)
    assert len(store.client.uploads) == 2, "an owner keeps its own"
    take_ownership(store.bucket(), store.layout, NEW, lambda: None, uploads=uploads)
    keys = sorted(store.client.upload_keys[name] for name in store.client.uploads)
    assert keys[0] == "jobs/team/digits-2/shards/a.zip"
    assert len(keys) == (1 if uploads else 2)


def committed(store: UploadStore, owner: Owner) -> str:
    """The commit of a job that runs under this prefix; returns its key."""
    take_ownership(store.bucket(), store.layout, owner, lambda: None)
    key = store.layout.commit(1)
    store.bucket().put_bytes(key, b"{}")
    return key


@pytest.mark.parametrize("created", ["2026-11-24T09:00:00Z", "2026-11-24T11:00:00Z"])
def test_job_of_another_cluster_keeps_all_its_objects(store: UploadStore, created: str) -> None:
    theirs = replace(OLD, cluster=ELSEWHERE)
    commit = committed(store, theirs)
    before = dict(store.client.objects)
    mine = Owner("uid-2", created, HERE)
    with pytest.raises(StageError, match="belongs to a job of another cluster") as caught:
        take_ownership(store.bucket(), store.layout, mine, lambda: None, uploads=True)
    assert caught.value.reason is Reason.PREFIX_IN_USE
    assert ELSEWHERE in str(caught.value)
    assert "storage.prefix" in str(caught.value)
    assert store.client.objects == before
    assert commit in str(before)


def test_later_job_of_the_same_cluster_inherits_no_rounds(store: UploadStore) -> None:
    commit = committed(store, replace(OLD, cluster=HERE))
    take_ownership(store.bucket(), store.layout, replace(NEW, cluster=HERE), lambda: None)
    assert store.bucket().head(commit) is None
    assert read_owner(store.bucket(), store.layout.owner) == replace(NEW, cluster=HERE)


def test_record_without_a_cluster_is_adopted_with_its_time(store: UploadStore) -> None:
    """Records of earlier versions; what the job has written since it took the prefix stays its."""
    commit = committed(store, OLD)
    key = store.layout.owner
    record = json.loads(store.bucket().get_bytes(key))
    del record["cluster"]
    store.bucket().put_bytes(key, json.dumps(record).encode())
    taken = read_owner(store.bucket(), key)
    store.client.clock += 60
    mine = replace(OLD, cluster=HERE)
    take_ownership(store.bucket(), store.layout, mine, lambda: None)
    adopted = read_owner(store.bucket(), key)
    assert (adopted, adopted and adopted.taken) == (mine, taken and taken.taken)
    assert store.bucket().head(commit) is not None
    with pytest.raises(StageError, match="another cluster"):
        take_ownership(store.bucket(), store.layout, replace(NEW, cluster=ELSEWHERE), lambda: None)


def test_of_two_clusters_that_take_a_prefix_at_once_one_wins(store: UploadStore) -> None:
    theirs = replace(OLD, cluster=ELSEWHERE)
    calls = 0

    def between() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:  # before the record is written
            take_ownership(store.bucket(), store.layout, theirs, lambda: None)

    with pytest.raises(StageError, match="takes the prefix at this moment"):
        take_ownership(store.bucket(), store.layout, replace(NEW, cluster=HERE), between)
    assert read_owner(store.bucket(), store.layout.owner) == theirs

"""The owner of a prefix: recorded last, and never taken back by an earlier job."""

from __future__ import annotations

import pytest

from fedjob_operator.stages.ownership import (
    Owner,
    owner_key,
    owner_of,
    read_owner,
    take_ownership,
)
from support.operator.samples import UID, a_job
from support.operator.upload_store import ROOT, UploadStore

OLD, NEW = Owner("uid-1", "2026-11-24T10:00:00Z"), Owner("uid-2", "2026-11-24T10:00:05Z")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> UploadStore:
    return UploadStore(monkeypatch.setattr)


def test_owner_is_the_job_with_its_creation_time() -> None:
    assert owner_of(a_job()) == Owner(UID, "")


def test_owner_is_read_back(store: UploadStore) -> None:
    key = owner_key(store.layout)
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

"""The job folder in the store: uploaded, cleaned up, and owned by one job at a time."""

from __future__ import annotations

import json

import pytest

from fedjob.reasons import Reason
from fedjob.storage.owner import Owner
from fedjob_operator.stages.errors import StageError
from fedjob_operator.stages.workspace import checksum, upload_workspace
from support.memory_bucket import MemoryStore

FILES = {"app/custom/model_def.py": b"class Net: ...", "meta.json": b"{}"}
OLD, NEW = Owner("uid-1", "2026-11-24T10:00:00Z"), Owner("uid-2", "2026-11-24T10:00:05Z")
ROOT = "jobs/team/digits/"


class LeaseLostError(Exception):
    """Stands in for the cluster's refusal."""


def leads() -> None:
    """The lease is held."""


def test_checksum_covers_paths_and_contents_in_any_order() -> None:
    assert checksum({"a": b"bc"}) != checksum({"ab": b"c"})
    assert checksum({"a": b"1", "b": b"2"}) == checksum({"b": b"2", "a": b"1"})


def test_job_folder_is_uploaded_and_stale_code_is_deleted() -> None:
    store = MemoryStore()
    store.bucket().objects[f"{ROOT}scripts/stale.py"] = b"old"
    assert upload_workspace(store, OLD, FILES, {}, leads) == checksum(FILES)
    keys = {key.removeprefix(ROOT) for key in store.bucket().objects}
    assert keys == {"scripts/model_def.py", "configs/meta.json", "attempts/owner.json"}


def test_unchanged_job_folder_is_not_written_again() -> None:
    store = MemoryStore()
    upload_workspace(store, OLD, FILES, {}, leads)
    store.bucket().writes.clear()
    upload_workspace(store, OLD, FILES, {}, leads)
    assert store.bucket().writes == []


def test_objects_of_other_buckets_are_copied() -> None:
    store = MemoryStore()
    store.bucket("other").objects["a/model.pt"] = b"weights"
    target = f"{ROOT}model/checkpoint.pt"
    upload_workspace(store, OLD, FILES, {target: ("other", "a/model.pt")}, leads)
    assert store.bucket().objects[target] == b"weights"


def test_new_job_of_the_name_deletes_the_rounds_of_the_old_one() -> None:
    store = MemoryStore()
    upload_workspace(store, OLD, FILES, {}, leads)
    store.bucket().objects[store.layout.commit(0)] = b"{}"
    upload_workspace(store, NEW, FILES, {}, leads)
    assert store.layout.commit(0) not in store.bucket().objects
    owner = json.loads(store.bucket().objects[f"{ROOT}attempts/owner.json"])
    assert owner["uid"] == "uid-2"


def test_old_job_cannot_take_the_prefix_back() -> None:
    store = MemoryStore()
    upload_workspace(store, NEW, FILES, {}, leads)
    store.bucket().writes.clear()
    with pytest.raises(StageError, match="a later job of this name has started") as caught:
        upload_workspace(store, OLD, FILES, {}, leads)
    assert caught.value.reason is Reason.FENCED
    assert store.bucket().writes == []


@pytest.mark.parametrize("record", [b"", b"[]", b'{"uid": '], ids=["empty", "list", "cut off"])
def test_incomplete_owner_record_counts_as_none(record: bytes) -> None:
    store = MemoryStore()
    store.bucket().objects[f"{ROOT}attempts/owner.json"] = record
    upload_workspace(store, OLD, FILES, {}, leads)
    assert json.loads(store.bucket().objects[f"{ROOT}attempts/owner.json"])["uid"] == "uid-1"


def test_lease_is_checked_before_every_write() -> None:
    """An operator that loses its lease after any number of writes makes no further write."""
    complete = MemoryStore()
    complete.bucket().objects[f"{ROOT}scripts/stale.py"] = b"old"
    upload_workspace(complete, NEW, FILES, {}, leads)
    for allowed in range(len(complete.bucket().writes)):
        store = MemoryStore()
        store.bucket().objects[f"{ROOT}scripts/stale.py"] = b"old"
        writes = store.bucket().writes

        def may_act(writes: list[str] = writes, allowed: int = allowed) -> None:
            if len(writes) >= allowed:
                raise LeaseLostError

        with pytest.raises(LeaseLostError):
            upload_workspace(store, NEW, FILES, {}, may_act)
        assert len(writes) == allowed

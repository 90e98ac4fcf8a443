"""Shards in the store: listed, checked, and refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.planning.store_access import split_uri
from fedjob_operator.stages.errors import InputError
from fedjob_operator.stages.shards import FoundShard, find_shards, inspect_all
from support.memory_bucket import MemoryStore
from support.operator.samples import a_job
from support.operator.shard_stores import shard, store_with


def find(store: MemoryStore, job: FederatedJob | None = None) -> list[FoundShard]:
    return find_shards(job or a_job(), store.layout, "jobs", store.bucket)


def refusal(store: MemoryStore, **spec: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        find(store, a_job(**spec))
    return caught.value


def test_uri_is_split_into_bucket_and_key() -> None:
    assert split_uri("s3://bucket/a/b.zip") == ("bucket", "a/b.zip")


def test_shards_are_listed_by_file_name_and_only_zips_count() -> None:
    store = store_with(b=b"", a=b"")
    store.bucket().objects[store.layout.shard("notes.txt")] = b""
    assert [found.name for found in find(store)] == ["a.zip", "b.zip"]


def test_shards_of_another_prefix_and_named_items_are_found() -> None:
    store = store_with()
    store.bucket("data").objects["x/b.zip"] = b""
    [found] = find(store, a_job(shards={"uri": "s3://data/x"}))
    assert (found.bucket, found.key) == ("data", "x/b.zip")
    item = {"name": "c.zip", "uri": "s3://data/x/other.zip", "sha256": "0" * 64}
    [named] = find(store, a_job(shards={"items": [item]}))
    assert named == FoundShard("c.zip", "data", "x/other.zip", "0" * 64)


@pytest.mark.parametrize(
    ("names", "spec", "message"),
    [
        ((), {}, "contains no .zip|holds no .zip"),
        (("v",), {"shards": {"validation": "v.zip"}}, "only the validation shard"),
        (("a",), {"shards": {"validation": "v.zip"}}, "has no v.zip"),
        (("a b",), {}, "unusable name"),
        (("x/a", "y/a"), {}, "have the same file name"),
    ],
    ids=["none", "only validation", "no validation", "name", "duplicate"],
)
def test_unusable_listing_is_refused(
    names: tuple[str, ...], spec: dict[str, Any], message: str
) -> None:
    error = refusal(store_with(**dict.fromkeys(names, b"")), **spec)
    assert error.reason is Reason.SHARDS_MISSING
    assert any(text in str(error) for text in message.split("|"))
    assert all(fault.fix for fault in error.faults)


def test_manifests_are_read_in_the_given_order() -> None:
    store = store_with(b=shard(6), a=shard(1, 2))
    infos = inspect_all(find(store), "manifest.ndjson", store.bucket, lambda _: True)
    assert [info.manifest and info.manifest.samples for info in infos] == [2, 1]


def test_faults_of_all_shards_are_reported_with_the_reason_of_the_first() -> None:
    store = store_with(a=shard(1), b=b"no zip")
    found = find(store)
    found.insert(0, FoundShard("gone.zip", "jobs", "gone.zip"))
    found.append(FoundShard("a.zip", "jobs", store.layout.shard("a.zip"), sha256="0" * 64))
    with pytest.raises(InputError) as caught:
        inspect_all(found, "manifest.ndjson", store.bucket, lambda _: True)
    assert caught.value.reason is Reason.OBJECT_MISSING
    assert len(caught.value.faults) == 3
    text = str(caught.value)
    assert "s3://jobs/gone.zip does not exist" in text
    assert "b.zip" in text
    assert "spec.shards says " + "0" * 64 in text

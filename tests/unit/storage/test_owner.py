"""The record of a prefix's owner: read back, compared by cluster, and tolerant of old ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedjob.storage.owner import Owner, read_owner
from support.memory_bucket import MemoryBucket

OWNER = Owner("uid-1", "2026-11-24T10:00:00Z", "cluster-a")
KEY = "jobs/team/digits/attempts/owner.json"


def read(record: bytes | None) -> Owner | None:
    bucket: Any = MemoryBucket()
    if record is not None:
        bucket.put_bytes(KEY, record)
    return read_owner(bucket, KEY)


def test_record_is_read_back_with_the_time_at_which_the_prefix_was_taken() -> None:
    assert read(OWNER.to_json()) == OWNER
    kept = read(replace(OWNER, taken=17.5).to_json())
    assert (kept, kept and kept.taken) == (OWNER, 17.5)


def test_record_of_an_earlier_version_names_no_cluster() -> None:
    found = read(b'{"uid": "uid-1", "created": "2026-11-24T10:00:00Z"}')
    assert found == replace(OWNER, cluster="")
    assert found is not None
    assert found.is_same_job(OWNER)
    assert not found.is_foreign_to(OWNER)


@pytest.mark.parametrize("record", [None, b"", b"[]", b'{"uid": "u', b'{"taken": "soon"}'])
def test_record_that_cannot_be_read_is_none(record: bytes | None) -> None:
    assert read(record) is None


def test_jobs_of_two_clusters_are_never_the_same() -> None:
    other = replace(OWNER, cluster="cluster-b")
    assert other.is_foreign_to(OWNER)
    assert not other.is_same_job(OWNER)
    assert not replace(OWNER, uid="uid-2").is_same_job(OWNER)

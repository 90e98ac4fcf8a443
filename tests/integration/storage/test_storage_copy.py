"""Copies within a real store: between buckets, whole and in parts."""

from __future__ import annotations

import hashlib
import random
import tracemalloc

import pytest

from fedjob.protocol.config import StoreLocation
from fedjob.storage.bucket import Bucket
from fedjob.storage.errors import ObjectMissingError
from fedjob.storage.object_copy import CopySizes

MIB = 1 << 20
SIZES = CopySizes(whole=16 * MIB, part=6 * MIB)


def always() -> None:
    """The lease is held."""


@pytest.fixture
def other(bucket: Bucket, location: StoreLocation) -> Bucket:
    """A second bucket of the same store."""
    made = Bucket(location.model_copy(update={"bucket": "other-data"}), bucket._credentials)
    made.ensure_bucket()
    return made


@pytest.mark.parametrize("size", [0, 1000, 16 * MIB, 16 * MIB + 1, 40 * MIB])
def test_store_copies_from_another_bucket(
    bucket: Bucket, other: Bucket, location: StoreLocation, size: int
) -> None:
    data = random.Random(size).randbytes(size)
    source, target = f"{location.prefix}/a b/ü+&-{size}.pt", f"{location.prefix}/copy-{size}.pt"
    other.put_bytes(source, data)
    assert bucket.copy_from(other, source, target, may_write=always, sizes=SIZES)
    info = bucket.head(target)
    assert info is not None
    assert (info.size, info.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert bucket.get_bytes(target, 64 * MIB) == data
    assert not bucket.copy_from(other, source, target, may_write=always, sizes=SIZES)
    assert list(bucket.client_uploads().open(location.prefix)) == []


def test_source_that_is_replaced_is_copied_again(
    bucket: Bucket, other: Bucket, location: StoreLocation
) -> None:
    source, target = f"{location.prefix}/again.pt", f"{location.prefix}/again-copy.pt"
    for data in (b"first", b"second"):
        other.put_bytes(source, data)
        assert bucket.copy_from(other, source, target, may_write=always)
        assert bucket.get_bytes(target) == data


def test_copy_takes_no_memory_for_the_object(
    bucket: Bucket, other: Bucket, location: StoreLocation
) -> None:
    source = f"{location.prefix}/large.pt"
    other.put_bytes(source, random.Random(2).randbytes(128 * MIB))
    bucket.head(source)  # its client, made at its first request, has 11 MiB of its own
    tracemalloc.start()
    try:
        assert bucket.copy_from(
            other, source, f"{location.prefix}/large-copy.pt", may_write=always, sizes=SIZES
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


def test_missing_source_is_named(bucket: Bucket, other: Bucket, location: StoreLocation) -> None:
    with pytest.raises(ObjectMissingError, match="other-data/"):
        bucket.copy_from(
            other, f"{location.prefix}/no", f"{location.prefix}/to", may_write=always, sizes=SIZES
        )

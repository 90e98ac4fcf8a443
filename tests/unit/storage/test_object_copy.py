"""Copies within a store: by the store, whole or in parts, once, and of one version."""

from __future__ import annotations

from typing import Any

import pytest

from fedjob.protocol.config import StoreLocation
from fedjob.storage import bucket as bucket_module
from fedjob.storage.bucket import Bucket
from fedjob.storage.errors import ObjectChangedError, ObjectMissingError, StoreUnreachableError
from fedjob.storage.object_copy import _MOST_PARTS, CopySizes
from support.s3_client import MemoryClient, refusal

SIZES = CopySizes(whole=10, part=4, streamed=3)
DATA = bytes(range(26))
READS = {"get_object"}
WRITES = {"put_object", "upload_part"}


class LeaseLostError(Exception):
    """Stands in for a lease that was lost."""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> MemoryClient:
    made = MemoryClient()
    monkeypatch.setattr(bucket_module, "connect", lambda *_, **__: made)
    return made


def copied(*, may_write: Any = lambda: None, sizes: CopySizes = SIZES) -> bool:
    target = Bucket(StoreLocation(endpoint="http://store", bucket="jobs"))
    source = Bucket(StoreLocation(endpoint="http://store", bucket="other"))
    return target.copy_from(source, "from", "to", may_write=may_write, sizes=sizes)


def methods(client: MemoryClient) -> set[str]:
    return {method for method, _ in client.calls}


@pytest.mark.parametrize(
    ("size", "by"), [(0, "copy_object"), (10, "copy_object"), (11, "upload_part_copy")]
)
def test_store_copies_and_no_byte_comes_here(client: MemoryClient, size: int, by: str) -> None:
    client.store("from", DATA[:size], {"sha256": "a" * 64})
    assert copied()
    data, metadata = client.objects["to"]
    assert (data, metadata["sha256"]) == (DATA[:size], "a" * 64)
    assert by in methods(client)
    assert not methods(client) & (READS | WRITES)
    assert client.uploads == {}


def test_same_version_is_copied_once(client: MemoryClient) -> None:
    client.store("from", DATA, {})
    assert copied()
    assert not copied()
    client.store("from", DATA[::-1], {})
    assert copied()
    assert client.objects["to"][0] == DATA[::-1]


def test_object_of_the_target_s_key_that_is_no_copy_is_replaced(client: MemoryClient) -> None:
    client.store("from", DATA, {})
    client.store("to", DATA, {"sha256": "b" * 64})
    assert copied()
    assert "sha256" not in client.objects["to"][1]


@pytest.mark.parametrize(("size", "method"), [(5, "copy_object"), (26, "upload_part_copy")])
@pytest.mark.parametrize("status", [501, 405])
def test_store_that_does_not_copy_gets_the_bytes_by_way_of_memory(
    client: MemoryClient, size: int, method: str, status: int
) -> None:
    """A part at a time: never more than `streamed` bytes, and no file."""
    client.store("from", DATA[:size], {})
    client.faults[method] = [refusal(method, status, "NotImplemented")]
    assert copied()
    assert client.objects["to"][0] == DATA[:size]
    parts = [call for call in client.calls if call[0] == "upload_part"]
    assert len(parts) == -(-size // SIZES.streamed)
    assert client.uploads == {}


def test_empty_object_is_streamed_as_one_part(client: MemoryClient) -> None:
    client.store("from", b"", {})
    client.faults["copy_object"] = [refusal("CopyObject", 501, "NotImplemented")]
    assert copied()
    assert client.objects["to"][0] == b""


@pytest.mark.parametrize("size", [5, 26])
def test_object_that_is_replaced_meanwhile_is_not_copied(client: MemoryClient, size: int) -> None:
    client.store("from", DATA[:size], {})

    def replace(made: MemoryClient) -> None:
        made.store("from", b"another", {})

    client.faults["copy_object"] = client.faults["upload_part_copy"] = [replace]
    with pytest.raises(ObjectChangedError, match="other/from"):
        copied()
    assert "to" not in client.objects
    assert client.uploads == {}


def test_missing_object_is_named(client: MemoryClient) -> None:
    with pytest.raises(ObjectMissingError, match="other/from"):
        copied()


def test_parts_of_an_interrupted_copy_are_removed_by_the_next(client: MemoryClient) -> None:
    client.store("from", DATA, {})
    client.faults["upload_part_copy"] = [refusal("UploadPartCopy", 500)]
    client.faults["abort_multipart_upload"] = [refusal("AbortMultipartUpload", 500)]
    with pytest.raises(StoreUnreachableError):
        copied()
    assert len(client.uploads) == 1
    assert copied()
    assert client.uploads == {}


def test_every_write_is_asked_for(client: MemoryClient) -> None:
    """Stopped after any number of writes, there is no further one."""
    client.store("from", DATA, {})
    asked = 0

    def count() -> None:
        nonlocal asked
        asked += 1

    copied(may_write=count)
    assert asked == 1 + 7 + 1  # begin, parts, complete
    for allowed in range(asked):
        client.objects.pop("to", None)
        left = allowed

        def may_write() -> None:
            nonlocal left
            if not left:
                raise LeaseLostError
            left -= 1

        with pytest.raises(LeaseLostError):
            copied(may_write=may_write)
        assert "to" not in client.objects


def test_huge_object_has_no_more_parts_than_a_store_takes(client: MemoryClient) -> None:
    data = b"x" * 100_000
    client.store("from", data, {})
    assert copied(sizes=CopySizes(whole=1, part=1, streamed=1))
    assert client.objects["to"][0] == data
    assert len([1 for method, _ in client.calls if method == "upload_part_copy"]) <= _MOST_PARTS

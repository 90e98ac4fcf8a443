"""Every operation of a bucket, on a store in memory."""

from __future__ import annotations

import hashlib

import pytest

from fedjob.errors import InvalidInputError
from fedjob.storage.errors import (
    AlreadyExistsError,
    BucketMissingError,
    ChecksumMismatchError,
    ObjectChangedError,
    ObjectMissingError,
    StoreUnreachableError,
)
from fedjob.storage.objects import Outcome
from support.s3_client import refusal


def test_bytes_carry_their_checksum(bucket, client):
    bucket.put_bytes("a", b"data")
    assert bucket.get_bytes("a") == b"data"
    assert bucket.head("a").sha256 == hashlib.sha256(b"data").hexdigest()
    client.objects["a"] = (b"evil", client.objects["a"][1])
    with pytest.raises(ChecksumMismatchError, match="s3://jobs/a"):
        bucket.get_bytes("a")


def test_conditional_write_keeps_the_first_object(bucket):
    bucket.put_bytes("a", b"first", if_absent=True)
    with pytest.raises(AlreadyExistsError):
        bucket.put_bytes("a", b"second", if_absent=True)
    assert bucket.get_bytes("a") == b"first"


def test_conflict_with_a_writer_that_then_fails_is_tried_again(bucket, client):
    """AWS answers 409 while another conditional write is under way."""
    client.faults["put_object"] = [refusal("PutObject", 409, "ConditionalRequestConflict")]
    bucket.put_bytes("a", b"x", if_absent=True)
    assert bucket.get_bytes("a") == b"x"


def test_conflicts_that_do_not_end_are_an_error(bucket, client):
    conflict = refusal("PutObject", 409, "ConditionalRequestConflict")
    client.faults["put_object"] = [conflict] * 5
    with pytest.raises(AlreadyExistsError):
        bucket.put_bytes("a", b"x", if_absent=True)


def test_listing_follows_all_pages(bucket):
    for name in "abcde":
        bucket.put_bytes(f"p/{name}", b"x")
    bucket.put_bytes("q/a", b"x")
    assert [info.key for info in bucket.list("p/")] == [f"p/{name}" for name in "abcde"]
    assert bucket.delete_prefix("p/") == 5
    assert [info.key for info in bucket.list("")] == ["q/a"]
    bucket.delete("not there")
    with pytest.raises(ValueError, match="ends with a slash"):
        bucket.delete_prefix("q")


def test_missing_object_and_missing_bucket_differ(bucket, client, tmp_path):
    assert bucket.head("a") is None
    with pytest.raises(ObjectMissingError):
        bucket.download_file("a", tmp_path / "a")
    client.bucket_exists = False
    with pytest.raises(BucketMissingError):
        bucket.download_file("a", tmp_path / "a")


def test_bucket_is_made_where_it_is_missing(bucket, client):
    bucket.ensure_bucket()
    assert ("create_bucket", "") not in client.calls
    client.bucket_exists = False
    bucket.ensure_bucket()
    assert client.bucket_exists


def test_bucket_that_another_makes_at_the_same_time_is_fine(bucket, client):
    client.bucket_exists = False
    client.faults["create_bucket"] = [refusal("CreateBucket", 409, "BucketAlreadyOwnedByYou")]
    bucket.ensure_bucket()


def test_file_is_skipped_by_checksum_and_never_by_size(bucket, client, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    calls = []
    assert bucket.upload_file(path, "a").outcome is Outcome.UPLOADED
    assert bucket.upload_file(path, "a", lambda *c: calls.append(c)).outcome is Outcome.SKIPPED
    assert calls == [("a", 3, 3)]
    path.write_bytes(b"two")
    assert bucket.upload_file(path, "a").outcome is Outcome.UPLOADED
    assert client.objects["a"][0] == b"two"


def test_upload_that_another_overwrites_is_an_error(bucket, client, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"mine")
    theirs = (b"theirs", {"sha256": "0" * 64})
    client.faults["head_object"] = [None, lambda store: store.objects.update(a=theirs)]
    with pytest.raises(ChecksumMismatchError, match="another writes this key"):
        bucket.upload_file(path, "a")


def test_tree_is_sent_in_the_order_of_its_keys(bucket, client, tmp_path):
    for name in ("b/x", "a", "b/c/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    sent = bucket.upload_tree(tmp_path, "p/")
    assert [upload.key for upload in sent] == ["p/a", "p/b/c/y", "p/b/x"]
    client.faults["put_object"] = [refusal("PutObject", 503)]
    (tmp_path / "a").write_text("new")
    with pytest.raises(StoreUnreachableError):
        bucket.upload_tree(tmp_path, "p/")


def test_object_as_a_file_notices_its_replacement(bucket):
    bucket.put_bytes("a", bytes(range(200)) * 10)
    with bucket.open_seekable("a") as file:
        file.seek(199)
        assert file.read(2) == bytes([199, 0])
    file = bucket.open_seekable("a")
    bucket.put_bytes("a", b"x" * 2000)
    with pytest.raises(ObjectChangedError, match="read it again"):
        file.read(1)


@pytest.mark.parametrize("seconds", [0, 3601])
def test_presigned_url_lives_an_hour_at_most(bucket, seconds):
    assert bucket.presign_get("a", 60) == "http://store/jobs/a?60"
    with pytest.raises(InvalidInputError, match="1 to 3600"):
        bucket.presign_get("a", seconds)


def test_closed_bucket_connects_again(bucket, client):
    bucket.put_bytes("a", b"x")
    with bucket:
        pass
    assert client.closed == 1
    assert bucket.get_bytes("a") == b"x"
    assert bucket.uri("a") == "s3://jobs/a"

"""Multipart uploads of clients: listed page by page, completed and aborted at most once."""

from __future__ import annotations

import hashlib

import pytest

from fedjob.errors import InvalidInputError
from fedjob.storage.bucket import Bucket
from fedjob.storage.client_uploads import OpenUpload, StoredPart
from fedjob.storage.errors import StoreError
from support.s3_client import MemoryClient, refusal

SHA = hashlib.sha256(b"abc").hexdigest()


def test_whole_files_are_signed_with_their_length_and_checksum(bucket: Bucket) -> None:
    signed = bucket.client_uploads().presign_put("a.zip", size=3, sha256=SHA, seconds=60)
    assert signed.headers == {
        "x-amz-meta-sha256": SHA,
        "x-amz-checksum-sha256": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    }
    assert signed.url not in repr(signed)


def test_a_form_is_for_one_key_and_a_bounded_size(bucket: Bucket) -> None:
    form = bucket.client_uploads().presign_form("logs/0.log", most=100, seconds=60)
    assert form == {
        "url": "http://store/jobs",
        "fields": {"key": "logs/0.log", "policy": "0-100 bytes for 60 s"},
    }
    with pytest.raises(InvalidInputError):
        bucket.client_uploads().presign_form("logs/0.log", most=100, seconds=3601)


@pytest.mark.parametrize("seconds", [0, -1, 3601])
def test_urls_live_for_an_hour_at_most(bucket: Bucket, seconds: int) -> None:
    uploads = bucket.client_uploads()
    with pytest.raises(InvalidInputError):
        uploads.presign_put("a.zip", size=3, sha256=SHA, seconds=seconds)
    with pytest.raises(InvalidInputError):
        uploads.presign_part("a.zip", "id", 1, size=3, seconds=seconds)


def test_all_open_uploads_and_parts_are_listed(bucket: Bucket, client: MemoryClient) -> None:
    uploads = bucket.client_uploads()
    names = {uploads.start(f"jobs/{n}.zip", SHA) for n in range(5)}
    uploads.start("other/x.zip", SHA)
    found = list(uploads.open("jobs/"))
    assert {each.upload_id for each in found} == names
    assert {each.key for each in found} == {f"jobs/{n}.zip" for n in range(5)}
    client.uploads[found[0].upload_id][1].update({n: b"x" * n for n in (1, 2, 3, 5, 7)})
    parts = uploads.parts(found[0])
    assert parts is not None
    assert [(part.number, part.size) for part in parts] == [(1, 1), (2, 2), (3, 3), (5, 5), (7, 7)]


def test_completed_upload_is_one_object_with_its_checksum(
    bucket: Bucket, client: MemoryClient
) -> None:
    uploads = bucket.client_uploads()
    upload = OpenUpload("a.zip", uploads.start("a.zip", SHA), 0.0)
    client.uploads[upload.upload_id][1].update({1: b"ab", 2: b"c"})
    parts = [StoredPart(2, 1, '"2"'), StoredPart(1, 2, '"1"')]
    uploads.complete(upload, parts)
    found = bucket.head("a.zip")
    assert found is not None
    assert (found.size, found.sha256) == (3, SHA)
    uploads.complete(upload, parts)  # the first answer was lost


def test_upload_that_ended_has_no_parts_and_may_be_aborted_again(bucket: Bucket) -> None:
    uploads = bucket.client_uploads()
    upload = OpenUpload("a.zip", uploads.start("a.zip", SHA), 0.0)
    uploads.abort(upload)
    uploads.abort(upload)
    assert uploads.parts(upload) is None
    assert list(uploads.open("")) == []


def test_a_store_that_does_not_answer_is_no_missing_upload(
    bucket: Bucket, client: MemoryClient
) -> None:
    uploads = bucket.client_uploads()
    upload = OpenUpload("a.zip", uploads.start("a.zip", SHA), 0.0)
    for method in ("list_parts", "complete_multipart_upload", "abort_multipart_upload"):
        client.faults[method] = [refusal("X", 503)]
    with pytest.raises(StoreError):
        uploads.parts(upload)
    with pytest.raises(StoreError):
        uploads.complete(upload, [])
    with pytest.raises(StoreError):
        uploads.abort(upload)

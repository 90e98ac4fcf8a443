"""A file in one request or in parts, and what is left of an upload that fails."""

from __future__ import annotations

import pytest

from fedjob.storage import upload as module
from fedjob.storage.errors import ChecksumMismatchError, StoreUnreachableError
from fedjob.storage.objects import Outcome
from support.s3_client import refusal


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(module, "WHOLE", 10)
    monkeypatch.setattr(module, "PART", 4)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"

    def write(size):
        path.write_bytes(bytes(n % 251 for n in range(size)))
        return path

    return write


@pytest.mark.parametrize(("size", "parts"), [(0, 0), (1, 0), (10, 0), (11, 3), (40, 10)])
def test_content_arrives_with_progress(bucket, client, file, size, parts):
    path, calls = file(size), []
    bucket.upload_file(path, "a", lambda *call: calls.append(call))
    assert client.objects["a"][0] == path.read_bytes()
    assert [name for name, _ in client.calls].count("upload_part") == parts
    assert calls[-1] == ("a", size, size)
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    assert client.uploads == {}


@pytest.mark.parametrize("size", [5, 40])
def test_file_that_changes_meanwhile_is_not_stored(bucket, client, file, size):
    path = file(size)
    client.faults["head_object"] = [lambda store: path.write_bytes(b"x" * size)]
    with pytest.raises(ChecksumMismatchError, match="changed while it was being uploaded"):
        bucket.upload_file(path, "a")
    assert client.objects == {}
    assert client.uploads == {}, "the parts are given up"


def test_failed_part_ends_the_upload_and_leaves_no_parts(bucket, client, file):
    client.faults["upload_part"] = [None, refusal("UploadPart", 503)]
    with pytest.raises(StoreUnreachableError):
        bucket.upload_file(file(40), "a")
    assert (client.objects, client.uploads) == ({}, {})


def test_interruption_leaves_no_parts(bucket, client, file):
    client.faults["complete_multipart_upload"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        bucket.upload_file(file(40), "a")
    assert client.uploads == {}


def test_abort_that_fails_does_not_hide_the_cause(bucket, client, file):
    client.faults["upload_part"] = [refusal("UploadPart", 503)]
    client.faults["abort_multipart_upload"] = [refusal("AbortMultipartUpload", 500)]
    with pytest.raises(StoreUnreachableError, match="HTTP 503"):
        bucket.upload_file(file(40), "a")


def test_completion_whose_answer_was_lost_counts_as_done(bucket, client, file):
    """botocore then asks a second time, and the upload is no longer known."""

    def complete_and_forget(store):
        (upload,) = store.uploads
        metadata, parts = store.uploads.pop(upload)
        store.objects["a"] = (b"".join(parts[n] for n in sorted(parts)), metadata)

    client.faults["complete_multipart_upload"] = [complete_and_forget]
    assert bucket.upload_file(file(40), "a").outcome is Outcome.UPLOADED


def test_parts_grow_with_the_file(bucket, client, file, monkeypatch):
    monkeypatch.setattr(module, "_MOST_PARTS", 5)
    bucket.upload_file(file(40), "a")
    assert [name for name, _ in client.calls].count("upload_part") == 5

"""A file is received whole, with the right bytes, or not at all."""

from __future__ import annotations

import hashlib

import pytest

from fedjob.reasons import Reason
from fedjob.storage import download as module
from fedjob.storage.errors import (
    ChecksumMismatchError,
    ObjectChangedError,
    ObjectTooLargeError,
    StreamCutError,
)

DATA = bytes(range(256)) * 4


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(module, "PIECE", 100)


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "folder" / "a"
    made.parent.mkdir()
    made.write_bytes(b"old")
    return made


def names(path):
    return [each.name for each in path.parent.iterdir()]


def test_file_and_checksum(bucket, path):
    bucket.put_bytes("a", DATA)
    calls = []
    digest = bucket.download_file("a", path, None, lambda *call: calls.append(call))
    assert digest == hashlib.sha256(DATA).hexdigest()
    assert path.read_bytes() == DATA
    assert (calls[0], calls[-1]) == (("a", 0, 1024), ("a", 1024, 1024))
    assert names(path) == ["a"]


def test_folder_is_made_and_an_empty_object_is_an_empty_file(bucket, tmp_path):
    bucket.put_bytes("a", b"")
    bucket.download_file("a", tmp_path / "x" / "y" / "a")
    assert (tmp_path / "x/y/a").read_bytes() == b""


def test_answer_that_breaks_off_is_resumed_where_it_broke_off(bucket, client, path):
    bucket.put_bytes("a", DATA)
    client.cuts = [300, 0, 500]
    bucket.download_file("a", path)
    assert path.read_bytes() == DATA


def test_answers_that_always_break_off_are_an_error(bucket, client, path):
    bucket.put_bytes("a", DATA)
    client.cuts = [10] * module.STREAM_TRIES
    with pytest.raises(StreamCutError):
        bucket.download_file("a", path)
    assert (path.read_bytes(), names(path)) == (b"old", ["a"])


def test_wrong_bytes_leave_the_old_file(bucket, path):
    bucket.put_bytes("a", DATA)
    with pytest.raises(ChecksumMismatchError, match="restore it"):
        bucket.download_file("a", path, "0" * 64)
    assert (path.read_bytes(), names(path)) == (b"old", ["a"])


def test_object_that_is_replaced_meanwhile_is_not_mixed(bucket, client, path):
    bucket.put_bytes("a", DATA)
    client.cuts = [300]
    other = (DATA[::-1], {})
    client.faults["get_object"] = [None, lambda store: store.objects.update(a=other)]
    with pytest.raises(ObjectChangedError):
        bucket.download_file("a", path)
    assert path.read_bytes() == b"old"


def test_small_object_is_asked_for_again_when_its_answer_breaks_off(bucket, client):
    bucket.put_bytes("a", DATA)
    client.cuts = [5, 5]
    assert bucket.get_bytes("a") == DATA
    client.cuts = [5] * module.STREAM_TRIES
    with pytest.raises(StreamCutError):
        bucket.get_bytes("a")


def test_name_of_the_recorded_checksum_may_have_any_case():
    assert module.recorded_sha256({"SHA256": "x"}) == "x"
    assert module.recorded_sha256({"other": "x"}) is None


def test_small_object_is_read_up_to_its_limit_only(bucket):
    bucket.put_bytes("a", DATA)
    assert bucket.get_bytes("a", len(DATA)) == DATA
    with pytest.raises(ObjectTooLargeError, match="has more than 1023 bytes") as caught:
        bucket.get_bytes("a", len(DATA) - 1)
    assert caught.value.reason == Reason.OBJECT_TOO_LARGE
    bucket.put_bytes("b", b"x" * ((1 << 20) + 1))
    with pytest.raises(ObjectTooLargeError):
        bucket.get_bytes("b")

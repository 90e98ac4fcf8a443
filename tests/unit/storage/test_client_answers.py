"""Answers of a hostile store: none is held in memory beyond its bound."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from fedjob.protocol.config import StoreLocation
from fedjob.storage import bucket as bucket_module
from fedjob.storage.bucket import Bucket
from fedjob.storage.client import MOST_ANSWER
from fedjob.storage.credentials import Credentials
from fedjob.storage.errors import ObjectTooLargeError, StoreError, StoreUnreachableError
from support.bombs.hostile_server import Answer, endless, hostile_server

PIECE = b"<Contents>" * 6554
TAG = {"ETag": '"1"', "Last-Modified": "Thu, 26 Nov 2026 20:00:00 GMT"}


def bucket_at(url: str) -> Bucket:
    location = StoreLocation(endpoint=url, bucket="jobs")
    return Bucket(location, Credentials("key", "secret"), attempts=1)


@pytest.mark.parametrize(
    "call",
    [
        lambda bucket: list(bucket.list("p/")),
        lambda bucket: list(bucket.client_uploads().open("p/")),
        lambda bucket: bucket.put_bytes("key", b""),
        lambda bucket: bucket.copy_from(bucket, "key", "to", may_write=lambda: None),
    ],
    ids=["list", "uploads", "put", "copy"],
)
@pytest.mark.parametrize("status", [200, 403, 500])
def test_answer_without_an_end_is_cut_off(call: Callable[[Bucket], object], status: int) -> None:
    sent = 0

    def answer(method: str, _path: str) -> Answer:
        nonlocal sent
        if method == "HEAD":
            return 200, {**TAG, "Content-Length": "5"}, ()

        def pieces() -> object:
            nonlocal sent
            for piece in endless(PIECE, 64 << 20):
                sent += len(piece)
                yield piece

        return status, {}, pieces()  # type: ignore[return-value]

    with hostile_server(answer) as url, pytest.raises(StoreUnreachableError, match="more than"):
        call(bucket_at(url))
    assert MOST_ANSWER < sent < 4 * MOST_ANSWER  # what the sockets buffer is beyond the bound


def test_listing_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "MOST_PAGES", 5)
    pages = itertools.count(1)

    def answer(_method: str, _path: str) -> Answer:
        text = (
            "<ListBucketResult><IsTruncated>true</IsTruncated>"
            f"<NextContinuationToken>{next(pages)}</NextContinuationToken>"
            "<Contents><Key>p/a</Key><Size>1</Size><ETag>1</ETag></Contents></ListBucketResult>"
        ).encode()
        return 200, {"Content-Length": str(len(text))}, [text]

    with hostile_server(answer) as url, pytest.raises(StoreError, match="more than 5 pages"):
        list(bucket_at(url).list("p/"))
    assert next(pages) == 6


def test_range_brings_no_more_bytes_than_were_asked_for() -> None:
    def answer(method: str, _path: str) -> Answer:
        if method == "HEAD":
            return 200, {**TAG, "Content-Length": "1000000"}, ()
        return 200, TAG, endless(b"x" * 65536, 64 << 20)

    with (
        hostile_server(answer) as url,
        bucket_at(url).open_seekable("key") as file,
        pytest.raises(StoreError, match="more than the"),
    ):
        file.read(10)


def test_small_object_without_an_end_is_cut_off() -> None:
    def answer(_method: str, _path: str) -> Answer:
        return 200, TAG, endless(b"x" * 65536, 64 << 20)

    with hostile_server(answer) as url, pytest.raises(ObjectTooLargeError):
        bucket_at(url).get_bytes("key", 1 << 20)

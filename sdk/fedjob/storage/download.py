"""Receiving one object into a file: all of it and the right bytes, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from fedjob.atomic_files import replacing
from fedjob.storage.checksum import PIECE
from fedjob.storage.client import translated
from fedjob.storage.errors import (
    AlreadyExistsError,
    ChecksumMismatchError,
    ObjectChangedError,
    ObjectTooLargeError,
    StoreError,
    StreamCutError,
    Where,
)
from fedjob.storage.upload import Progress

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

STREAM_TRIES = 5
"""Times that a broken-off answer is taken up again where it broke off."""


def receive_bytes(client: S3Client, where: Where, limit: int) -> bytes:
    """All bytes of a small object.

    Args:
        client: Asks the store.
        where: The object.
        limit: Bytes that it may have.

    Raises:
        ObjectTooLargeError: It has more; only `limit` of them were read.
        ChecksumMismatchError: They are not those recorded with it.
        StoreError: Whatever the store refuses.
    """
    for left in range(STREAM_TRIES - 1, -1, -1):
        with translated(where):
            answer = client.get_object(Bucket=where.bucket, Key=where.key)
        try:
            with translated(where, streaming=True):
                data = _read(answer["Body"], limit)
        except StreamCutError:
            if not left:
                raise
            continue
        if len(data) > limit:
            problem = f"it has more than {limit} bytes"
            raise ObjectTooLargeError(where, problem, "replace it by what belongs there")
        recorded = recorded_sha256(answer["Metadata"])
        if recorded is not None and hashlib.sha256(data).hexdigest() != recorded:
            break
        return data
    raise ChecksumMismatchError(
        where, "its bytes are not those recorded with it", "restore it, or delete it"
    )


def _read(body: StreamingBody, limit: int) -> bytes:
    """All bytes, or `limit` and some more where there are more."""
    data = bytearray()
    while len(data) <= limit:
        # botocore notices a body that broke off at the read that finds nothing more.
        piece = body.read(limit + 1 - len(data))
        if not piece:
            return bytes(data)
        data += piece
    body.close()
    return bytes(data)


def recorded_sha256(metadata: Mapping[str, str]) -> str | None:
    """The SHA-256 that was stored with an object; stores differ in the case of such names."""
    return {name.lower(): value for name, value in metadata.items()}.get("sha256")


def receive_range(client: S3Client, where: Where, start: int, length: int, etag: str) -> bytes:
    """`length` bytes from `start` (fewer at the object's end), of the version `etag` names.

    Raises:
        ObjectChangedError: When the object is another version now.
        StoreError: Whatever the store refuses.
    """
    for left in range(STREAM_TRIES - 1, -1, -1):
        try:
            body = _open(client, where, start, start + length - 1, etag)["Body"]
            with translated(where, streaming=True):
                data = _read(body, length)
        except StreamCutError:
            if not left:
                raise
            continue
        if len(data) > length:
            problem = f"it sends more than the {length} bytes that were asked for"
            raise StoreError(where, problem, "use a store that answers ranged requests")
        return data
    raise AssertionError("unreachable")


def receive_file(
    client: S3Client,
    where: Where,
    path: Path,
    *,
    size: int,
    etag: str,
    sha256: str | None,
    progress: Progress | None,
) -> str:
    """Writes the object to `path` by way of a temporary file beside it, synced and renamed.

    Args:
        client: Of the store.
        where: The bucket and key to read.
        path: Where to; its folder is made.
        size: Of the object, bytes.
        etag: The version to read.
        sha256: What the bytes must have; None takes any.
        progress: Called with the bytes that arrived.

    Returns:
        The SHA-256 of the bytes, in hex.

    Raises:
        ChecksumMismatchError: Other bytes; `path` is as it was.
        StoreError: Whatever the store refuses; `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, private=True, durable=True) as scratch:
        with scratch.open("wb") as file:
            found = _copy(client, where, file, size=size, etag=etag, progress=progress)
        if sha256 is not None and found != sha256:
            raise ChecksumMismatchError(
                where,
                f"its bytes have SHA-256 {found}, recorded is {sha256}",
                "it was altered or damaged; restore it from where it came from",
            )
    return found


def _copy(
    client: S3Client,
    where: Where,
    file: BinaryIO,
    *,
    size: int,
    etag: str,
    progress: Progress | None,
) -> str:
    digest = hashlib.sha256()
    done = 0
    cuts = 0
    if progress is not None:
        progress(where.key, 0, size)
    while done < size:
        try:
            body = _open(client, where, done, size - 1, etag)["Body"]
            while True:
                with translated(where, streaming=True):
                    piece = body.read(PIECE)
                if not piece:
                    break
                file.write(piece)
                digest.update(piece)
                done += len(piece)
                if progress is not None:
                    progress(where.key, done, size)
            if done < size:
                raise StreamCutError(where, "the answer was too short", "try again")
        except StreamCutError:
            cuts += 1
            if cuts >= STREAM_TRIES:
                raise
    return digest.hexdigest()


def _open(client: S3Client, where: Where, first: int, last: int, etag: str) -> Any:
    try:
        with translated(where):
            return client.get_object(
                Bucket=where.bucket, Key=where.key, Range=f"bytes={first}-{last}", IfMatch=etag
            )
    except AlreadyExistsError as error:  # 412: If-Match failed
        raise ObjectChangedError(
            where, "it was replaced while it was being read", "read it again"
        ) from error

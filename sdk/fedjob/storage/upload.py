"""Sending one file: whole, or in parts that travel in parallel."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fedjob.storage.checksum import content_md5
from fedjob.storage.client import translated
from fedjob.storage.errors import ChecksumMismatchError, Where

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

Progress = Callable[[str, int, int], None]
"""Called with (key, bytes done, bytes in all), from whichever thread moved the bytes."""

WHOLE = 16 * 1024 * 1024
"""Files up to this many bytes go in one request."""
PART = 8 * 1024 * 1024
"""Bytes of a part, unless the file is so large that it would take more than 10,000 parts."""
_MOST_PARTS = 9_000


class _Tally:
    """Counts the bytes that arrived, from several threads, and reports them in order."""

    def __init__(self, key: str, total: int, progress: Progress | None) -> None:
        self._key, self._total, self._progress = key, total, progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._progress is not None:
                self._progress(self._key, self._done, self._total)


def send_file(
    client: S3Client,
    where: Where,
    path: Path,
    *,
    sha256: str,
    size: int,
    parallel: int,
    progress: Progress | None,
) -> None:
    """Sends a file, each request with its Content-MD5, and the SHA-256 as metadata.

    Args:
        client: Of the store.
        where: The bucket and key to write.
        path: The file.
        sha256: Of the file, as read just before.
        size: Of the file, bytes.
        parallel: Parts under way at once; each takes `PART` bytes of memory.
        progress: Called with the bytes that arrived.

    Raises:
        ChecksumMismatchError: When the file changed since its SHA-256 was taken; nothing is stored.
        StoreError: Whatever the store refuses.
    """
    tally = _Tally(where.key, size, progress)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if size <= WHOLE:
            data = file.read(size + 1)
            digest.update(data)
            _require_unchanged(where, path, digest.hexdigest(), sha256)
            with translated(where):
                client.put_object(
                    Bucket=where.bucket,
                    Key=where.key,
                    Body=data,
                    ContentMD5=content_md5(data),
                    Metadata={"sha256": sha256},
                )
            tally.add(size)
            return
        with translated(where):
            upload = client.create_multipart_upload(
                Bucket=where.bucket, Key=where.key, Metadata={"sha256": sha256}
            )["UploadId"]
        try:
            part_size = max(PART, -(-size // _MOST_PARTS))
            parts = _send_parts(
                client,
                where,
                upload,
                file,
                part_size=part_size,
                parallel=parallel,
                digest=digest,
                tally=tally,
            )
            _require_unchanged(where, path, digest.hexdigest(), sha256)
            with translated(where):
                client.complete_multipart_upload(
                    Bucket=where.bucket,
                    Key=where.key,
                    UploadId=upload,
                    MultipartUpload={"Parts": parts},
                )
        except BaseException:
            # Also at Ctrl-C: parts of an unfinished upload are invisible and would be paid for
            # ever.
            _abort(client, where, upload)
            raise


def _send_parts(
    client: S3Client,
    where: Where,
    upload: str,
    file: BinaryIO,
    *,
    part_size: int,
    parallel: int,
    digest: hashlib._Hash,
    tally: _Tally,
) -> list[CompletedPartTypeDef]:
    def send(number: int, data: bytes) -> CompletedPartTypeDef:
        with translated(where):
            answer = client.upload_part(
                Bucket=where.bucket,
                Key=where.key,
                UploadId=upload,
                PartNumber=number,
                Body=data,
                ContentMD5=content_md5(data),
            )
        tally.add(len(data))
        return {"ETag": answer["ETag"], "PartNumber": number}

    done: list[CompletedPartTypeDef] = []
    under_way: deque[Future[CompletedPartTypeDef]] = deque()
    with ThreadPoolExecutor(parallel, thread_name_prefix="upload") as pool:
        try:
            number = 0
            while data := file.read(part_size):
                number += 1
                digest.update(data)
                under_way.append(pool.submit(send, number, data))
                if len(under_way) > parallel:  # bounds memory
                    done.append(under_way.popleft().result())
            done.extend(future.result() for future in under_way)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def _require_unchanged(where: Where, path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise ChecksumMismatchError(
            where,
            f"{path} changed while it was being uploaded",
            "upload it again when nothing writes to it",
        )


def _abort(client: S3Client, where: Where, upload: str) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client.abort_multipart_upload(Bucket=where.bucket, Key=where.key, UploadId=upload)
    except (BotoCoreError, ClientError):
        return  # the error that led here says more; a bucket's lifecycle rule removes the parts

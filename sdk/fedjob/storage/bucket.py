"""A bucket: every operation on objects that fedjob uses, with typed errors."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from fedjob.protocol.config import StoreLocation
from fedjob.storage.checksum import content_md5, sha256_of
from fedjob.storage.client import connect, translated
from fedjob.storage.client_uploads import LONGEST_PRESIGN, ClientUploads, check_lifetime
from fedjob.storage.credentials import Credentials
from fedjob.storage.download import receive_bytes, receive_file, receive_range, recorded_sha256
from fedjob.storage.errors import (
    AlreadyExistsError,
    BucketMissingError,
    ChecksumMismatchError,
    ObjectMissingError,
    StoreError,
    Where,
)
from fedjob.storage.object_copy import DEFAULT_SIZES, CopySizes, copy_object
from fedjob.storage.objects import ObjectInfo, Outcome, Upload
from fedjob.storage.seekable import RangedReader
from fedjob.storage.upload import Progress, send_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["LONGEST_PRESIGN", "SMALL", "Bucket"]

SMALL = 1 << 20
"""Bytes of an object that is held in memory, unless its reader allows more."""

MOST_PAGES = 1_000
"""Pages of a listing, of up to 1,000 objects each: a store could send them without end."""


class Bucket:
    """A bucket of an S3 store.

    Keys are whole keys (see `Layout`); the location's prefix is not added. Safe for use from
    several threads. Every method raises a `StoreError` that names bucket, key and endpoint:
    `StoreUnreachableError` when trying later may help, `BucketMissingError`,
    `CredentialsRefusedError`, `ObjectMissingError` and others when it does not.

    Examples:
        >>> bucket = Bucket(StoreLocation(endpoint="http://127.0.0.1:8333", bucket="jobs"))
        >>> bucket.upload_file(Path("shard-1.zip"), layout.shard("shard-1.zip")).outcome
        <Outcome.UPLOADED: 'uploaded'>
    """

    def __init__(
        self,
        location: StoreLocation,
        credentials: Credentials | None = None,
        *,
        attempts: int = 5,
        connect_timeout: float = 5.0,
        read_timeout: float = 60.0,
    ) -> None:
        """Connects when first used.

        Args:
            location: Where the bucket is.
            credentials: The keys; None is boto3's own chain: environment, profile, pod identity.
            attempts: Tries of each request on 5xx, timeouts and refused connections; 5 give up
                after about 8 seconds of a store that is down.
            connect_timeout: Seconds to wait for a connection.
            read_timeout: Seconds to wait for the next bytes of an answer.
        """
        self.location = location
        self._credentials = credentials
        self._options = (attempts, connect_timeout, read_timeout)
        self._made: S3Client | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes idle connections; the bucket can be used again."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def uri(self, key: str) -> str:
        """The s3:// URI of a key."""
        return f"s3://{self.location.bucket}/{key}"

    def put_bytes(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Writes a small object.

        Args:
            key: Where to.
            data: What; held in memory.
            if_absent: Only when no object has this key; of any number of writers at once one wins.

        Raises:
            AlreadyExistsError: With `if_absent`, when an object is there. It may be our own: an
                earlier try whose answer was lost. Compare its bytes where that matters.
        """
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if if_absent else {}
        where = self.where(key)
        for left in range(4, -1, -1):
            try:
                with translated(where):
                    self._client.put_object(
                        Bucket=where.bucket,
                        Key=key,
                        Body=data,
                        ContentMD5=content_md5(data),
                        Metadata={"sha256": hashlib.sha256(data).hexdigest()},
                        **condition,
                    )
                return
            except AlreadyExistsError:
                # AWS answers 409 while another conditional write is under way, and that may yet
                # fail.
                if not left or self.head(key) is not None:
                    raise

    def get_bytes(self, key: str, limit: int = SMALL) -> bytes:
        """All bytes of a small object, checked against its recorded SHA-256.

        Args:
            key: The object.
            limit: Bytes that it may have.

        Raises:
            ObjectTooLargeError: It has more.
        """
        return receive_bytes(self._client, self.where(key), limit)

    def head(self, key: str) -> ObjectInfo | None:
        """Size and checksum of an object; None where object or bucket do not exist."""
        where = self.where(key)
        try:
            with translated(where):
                answer = self._client.head_object(Bucket=where.bucket, Key=key)
        except ObjectMissingError:
            return None
        sha256 = recorded_sha256(answer["Metadata"])
        return ObjectInfo(key, answer["ContentLength"], answer["ETag"], sha256, _seconds(answer))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects under a prefix, page by page; order is the store's.

        Raises:
            StoreError: There are more pages than `MOST_PAGES`.
        """
        where = self.where(prefix)
        token: dict[str, Any] = {}
        for _ in range(MOST_PAGES):
            with translated(where):
                page = self._client.list_objects_v2(Bucket=where.bucket, Prefix=prefix, **token)
            if any("Key" not in entry for entry in page.get("Contents", [])):
                raise StoreError(where, "it lists an object without a key", "use an S3 store")
            for entry in page.get("Contents", []):
                yield ObjectInfo(
                    entry["Key"], entry["Size"], entry["ETag"], modified=_seconds(entry)
                )
            following = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or following is None:
                return
            token = {"ContinuationToken": following}
        raise StoreError(
            where, f"it lists more than {MOST_PAGES} pages of objects", "delete what is not needed"
        )

    def delete(self, key: str) -> None:
        """Deletes an object; one that does not exist is not an error."""
        where = self.where(key)
        with translated(where):
            self._client.delete_object(Bucket=where.bucket, Key=key)

    def delete_prefix(self, prefix: str) -> int:
        """Deletes all objects under a prefix, which must not be empty; returns how many."""
        if not prefix.endswith("/"):
            raise ValueError(f"a prefix to delete ends with a slash, {prefix!r} does not")
        count = 0
        for info in self.list(prefix):
            self.delete(info.key)
            count += 1
        return count

    def ensure_bucket(self) -> None:
        """Creates the bucket where it does not exist."""
        where = self.where("")
        try:
            with translated(where):
                self._client.head_bucket(Bucket=where.bucket)
            return
        except BucketMissingError:
            pass
        region = self.location.region
        options: dict[str, Any] = {}
        if self.location.endpoint is None and region != "us-east-1":
            options["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            with translated(where):
                self._client.create_bucket(Bucket=where.bucket, **options)
        except AlreadyExistsError:
            return  # made by another at the same time; if it is not ours, the next write is refused

    def upload_file(
        self,
        path: Path,
        key: str,
        progress: Progress | None = None,
        *,
        parallel: int = 4,
        sha256: str | None = None,
    ) -> Upload:
        """Sends a file, unless the same bytes are there: by SHA-256, never by size alone (row 39).

        Files over 16 MiB travel in parts, `parallel` at once. The store checks each request by its
        Content-MD5; afterwards size and recorded SHA-256 are read back.

        Args:
            path: The file.
            key: Where it goes.
            progress: Called with the bytes that arrived.
            parallel: Parts under way at once.
            sha256: Of the file, from whoever wrote it: it is then read once, and hashed while it is
                sent. None: it is read for its checksum first.

        Raises:
            ChecksumMismatchError: The file has another SHA-256; nothing is stored.
        """
        where = self.where(key)
        sha256, size = sha256 or sha256_of(path), path.stat().st_size
        found = self.head(key)
        if found is not None and (found.sha256, found.size) == (sha256, size):
            if progress is not None:
                progress(key, size, size)
            return Upload(key, sha256, size, Outcome.SKIPPED)
        refused: StoreError | None = None
        try:
            send_file(
                self._client, where, path, sha256=sha256, size=size, parallel=parallel,
                progress=progress,
            )  # fmt: skip
        except ObjectMissingError as error:
            # Completing a multipart upload twice, because the first answer was lost, finds no
            # upload.
            refused = error
        found = self.head(key)
        if found is not None and (found.sha256, found.size) == (sha256, size):
            return Upload(key, sha256, size, Outcome.UPLOADED)
        if refused is not None:
            raise refused
        raise ChecksumMismatchError(
            where, f"it is not what was sent ({found})", "see whether another writes this key"
        )

    def upload_tree(
        self, folder: Path, prefix: str, progress: Progress | None = None, *, parallel: int = 4
    ) -> Sequence[Upload]:
        """Sends every file under a folder, `parallel` at once; in the order of their keys."""
        paths = sorted(
            Path(parent) / name for parent, _, names in os.walk(folder) for name in names
        )
        with ThreadPoolExecutor(parallel, thread_name_prefix="tree") as pool:
            futures = [
                pool.submit(
                    self.upload_file,
                    path,
                    prefix + path.relative_to(folder).as_posix(),
                    progress,
                    parallel=2,
                )
                for path in paths
            ]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def download_file(
        self,
        key: str,
        path: Path,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> str:
        """Writes an object to a file: all of it, synced, or not at all.

        Args:
            key: The object.
            path: Where to; its folder is made.
            sha256: What the bytes must have; by default the recorded one, where there is one.
            progress: Called with the bytes that arrived.

        Returns:
            The SHA-256 of the bytes, in hex.

        Raises:
            ChecksumMismatchError: Other bytes; `path` is as it was.
        """
        info = self._require(key)
        return receive_file(
            self._client,
            self.where(key),
            path,
            size=info.size,
            etag=info.etag,
            sha256=sha256 or info.sha256,
            progress=progress,
        )

    def copy_from(
        self,
        source: Bucket,
        key: str,
        target: str,
        *,
        may_write: Callable[[], None],
        sizes: CopySizes = DEFAULT_SIZES,
    ) -> bool:
        """Has the store copy an object of another of its buckets; see `object_copy`.

        Args:
            source: The other bucket, at the same endpoint; our keys may read it.
            key: What to copy.
            target: The key here.
            may_write: Called before every write; raises to stop.
            sizes: How large requests are.

        Returns:
            Whether it was copied; False where the same version is here already.

        Raises:
            ObjectMissingError: It does not exist.
            ObjectChangedError: It was replaced meanwhile.
        """
        info = source._require(key)
        return copy_object(
            self._client,
            source.where(key),
            info,
            self.where(target),
            may_write=may_write,
            sizes=sizes,
        )

    def presign_get(self, key: str, seconds: int = LONGEST_PRESIGN) -> str:
        """A URL by which anyone can read this one object, for a time.

        Args:
            key: The object; need not exist yet.
            seconds: 1 to 3,600.
        """
        check_lifetime(seconds)
        where = self.where(key)
        with translated(where):
            return self._client.generate_presigned_url(
                "get_object", Params={"Bucket": where.bucket, "Key": key}, ExpiresIn=seconds
            )

    def client_uploads(self) -> ClientUploads:
        """What lets clients without keys send objects to this bucket."""
        return ClientUploads(self.location.bucket, self._client, self.where)

    def open_seekable(self, key: str) -> BinaryIO:
        """The object as a file that fetches only what is read, and notices when it is replaced."""
        info = self._require(key)
        raw = RangedReader(info.size, lambda start, length: self._range(info, start, length))
        return cast(BinaryIO, io.BufferedReader(raw))

    def where(self, key: str) -> Where:
        """What an error names."""
        return Where(self.location.bucket, self.location.endpoint or "AWS", key)

    def _require(self, key: str) -> ObjectInfo:
        info = self.head(key)
        if info is None:
            with translated(self.where("")):  # distinguishes a missing bucket
                self._client.head_bucket(Bucket=self.location.bucket)
            raise ObjectMissingError(
                self.where(key), "the object does not exist", "upload it, or correct the key"
            )
        return info

    def _range(self, info: ObjectInfo, start: int, length: int) -> bytes:
        if length <= 0 or start >= info.size:
            return b""
        return receive_range(self._client, self.where(info.key), start, length, info.etag)

    @property
    def _client(self) -> S3Client:
        with self._lock:
            if self._made is None:
                attempts, connect_timeout, read_timeout = self._options
                self._made = connect(
                    self.location,
                    self._credentials,
                    attempts=attempts,
                    connect_timeout=connect_timeout,
                    read_timeout=read_timeout,
                )
            return self._made


def _seconds(answer: Mapping[str, Any]) -> float:
    """When an object was written, seconds since the epoch; 0 where the store does not say."""
    modified = answer.get("LastModified")
    return float(modified.timestamp()) if modified is not None else 0.0

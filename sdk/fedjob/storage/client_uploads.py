"""Uploads by clients without keys: presigned requests, and the multipart uploads behind them.

Every request is signed for one key, one length and, where the file goes whole, one SHA-256: the
store refuses other bytes. Parts carry no checksum of the file; whoever reads it checks that.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fedjob.errors import Fault, InvalidInputError
from fedjob.storage.client import translated
from fedjob.storage.errors import ObjectMissingError, Where

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONGEST_PRESIGN = 3600
"""Seconds that a presigned URL may live (CONTRACT row 38)."""


@dataclass(frozen=True, slots=True)
class SignedPut:
    """A presigned PUT.

    Attributes:
        url: Secret until it expires.
        headers: Must be sent as they are: they are signed.
    """

    url: str = field(repr=False)
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that is neither complete nor aborted.

    Attributes:
        key: The object that it will be.
        upload_id: The store's name of it.
        started: Seconds since the epoch, by the store's clock.
    """

    key: str
    upload_id: str
    started: float


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part that has arrived; its ETag is with quotes."""

    number: int
    size: int
    etag: str


def check_lifetime(seconds: int) -> None:
    """Raises where a presigned URL would live for another time than 1 s to an hour.

    Raises:
        InvalidInputError: 0 s or less, or more than 3,600 s.
    """
    if not 1 <= seconds <= LONGEST_PRESIGN:
        raise InvalidInputError(
            [Fault("presigned URL", f"{seconds} s is not a lifetime", "use 1 to 3600 seconds")]
        )


class ClientUploads:
    """What the holder of the keys does for clients without them, in one bucket.

    Every method but the presigning ones raises a `StoreError`, as those of `Bucket` do.
    """

    def __init__(self, name: str, client: S3Client, where: Callable[[str], Where]) -> None:
        self._name, self._client, self._where = name, client, where

    def presign_put(self, key: str, *, size: int, sha256: str, seconds: int) -> SignedPut:
        """A request that stores one whole object, of this size and these bytes only.

        Args:
            key: The object.
            size: Bytes, exactly.
            sha256: Of the bytes, in hex; recorded as metadata too.
            seconds: Lifetime, 1 to 3,600.
        """
        check_lifetime(seconds)
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        params: dict[str, Any] = {
            "Bucket": self._name,
            "Key": key,
            "ContentLength": size,
            "Metadata": {"sha256": sha256},
            "ChecksumSHA256": checksum,
        }
        with translated(self._where(key)):
            url = self._client.generate_presigned_url(
                "put_object", Params=params, ExpiresIn=seconds
            )
        return SignedPut(url, {"x-amz-meta-sha256": sha256, "x-amz-checksum-sha256": checksum})

    def presign_part(
        self, key: str, upload_id: str, number: int, *, size: int, seconds: int
    ) -> SignedPut:
        """A request that stores one part of exactly `size` bytes.

        Args:
            key: The object.
            upload_id: Of `start`.
            number: Of the part, from 1.
            size: Bytes, exactly.
            seconds: Lifetime, 1 to 3,600.
        """
        check_lifetime(seconds)
        params: dict[str, Any] = {
            "Bucket": self._name,
            "Key": key,
            "UploadId": upload_id,
            "PartNumber": number,
            "ContentLength": size,
        }
        with translated(self._where(key)):
            url = self._client.generate_presigned_url(
                "upload_part", Params=params, ExpiresIn=seconds
            )
        return SignedPut(url, {})

    def presign_form(self, key: str, *, most: int, seconds: int) -> dict[str, Any]:
        """A form (`url`, `fields`) by which anyone can write this one object, for a time.

        Args:
            key: The object.
            most: Bytes that it may have; the store refuses more.
            seconds: Lifetime, 1 to 3,600.
        """
        check_lifetime(seconds)
        with translated(self._where(key)):
            form = self._client.generate_presigned_post(
                self._name,
                key,
                Conditions=[["content-length-range", 0, most]],
                ExpiresIn=seconds,
            )
        return {"url": form["url"], "fields": form["fields"]}

    def start(self, key: str, sha256: str) -> str:
        """Starts a multipart upload of an object; returns its upload id."""
        with translated(self._where(key)):
            answer = self._client.create_multipart_upload(
                Bucket=self._name, Key=key, Metadata={"sha256": sha256}
            )
        return answer["UploadId"]

    def open(self, prefix: str) -> Iterator[OpenUpload]:
        """The multipart uploads under a prefix that are neither complete nor aborted."""
        markers: dict[str, Any] = {}
        while True:
            with translated(self._where(prefix)):
                page = self._client.list_multipart_uploads(
                    Bucket=self._name, Prefix=prefix, **markers
                )
            for entry in page.get("Uploads", []):
                if entry["Key"].startswith(prefix):
                    started = entry["Initiated"].timestamp()
                    yield OpenUpload(entry["Key"], entry["UploadId"], started)
            # SeaweedFS pages by the upload's id alone, and must not get a key back.
            names = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}
            following = {name: page[last] for name, last in names.items() if page.get(last)}  # type: ignore[literal-required]
            if not page.get("IsTruncated") or not following or following == markers:
                return
            markers = following

    def parts(self, upload: OpenUpload) -> list[StoredPart] | None:
        """The parts that have arrived; None where the upload is complete or aborted meanwhile."""
        found: list[StoredPart] = []
        marker: dict[str, Any] = {}
        while True:
            try:
                with translated(self._where(upload.key)):
                    page = self._client.list_parts(
                        Bucket=self._name, Key=upload.key, UploadId=upload.upload_id, **marker
                    )
            except ObjectMissingError:
                return None
            for part in page.get("Parts", []):
                found.append(StoredPart(part["PartNumber"], part["Size"], part["ETag"]))
            following = page.get("NextPartNumberMarker")
            if not page.get("IsTruncated") or following in (None, marker.get("PartNumberMarker")):
                return found
            marker = {"PartNumberMarker": following}

    def complete(self, upload: OpenUpload, parts: Sequence[StoredPart]) -> None:
        """Makes the parts one object.

        An upload that does not exist is not an error, because the answer to an earlier try may be
        lost: read the object's size and checksum afterwards.
        """
        numbered = sorted(parts, key=lambda part: part.number)
        try:
            with translated(self._where(upload.key)):
                self._client.complete_multipart_upload(
                    Bucket=self._name,
                    Key=upload.key,
                    UploadId=upload.upload_id,
                    MultipartUpload={
                        "Parts": [{"ETag": p.etag, "PartNumber": p.number} for p in numbered]
                    },
                )
        except ObjectMissingError:
            return

    def abort(self, upload: OpenUpload) -> None:
        """Removes an upload with its parts; one that does not exist is not an error."""
        try:
            with translated(self._where(upload.key)):
                self._client.abort_multipart_upload(
                    Bucket=self._name, Key=upload.key, UploadId=upload.upload_id
                )
        except ObjectMissingError:
            return

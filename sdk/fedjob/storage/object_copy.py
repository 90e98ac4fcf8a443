"""Copying an object within a store: the store moves the bytes, not this process.

Objects up to `WHOLE` are copied by one request, larger ones in parts: S3 copies 5 GiB at most at
once, and a store that copies for minutes without an answer runs into the read timeout. Where a
store does not know such requests, the bytes are streamed through memory, a part at a time; never
through a disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedjob.storage.checksum import content_md5
from fedjob.storage.client import translated
from fedjob.storage.download import receive_range, recorded_sha256
from fedjob.storage.errors import (
    AlreadyExistsError,
    ChecksumMismatchError,
    ObjectChangedError,
    ObjectMissingError,
    StoreError,
    Where,
)
from fedjob.storage.objects import ObjectInfo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

WHOLE = 256 << 20
"""Bytes up to which one request copies an object."""
PART = 256 << 20
"""Bytes of a part, unless the object is so large that it would take more than 10,000."""
STREAMED = 8 << 20
"""Bytes of a part that goes through memory."""
_MOST_PARTS = 9_000
_VERSION = "copied-from"
"""Metadata that tells of which version an object is a copy, so that it is made once."""
_UNKNOWN = frozenset({"NotImplemented", "501", "405", "MethodNotAllowed"})


@dataclass(frozen=True, slots=True)
class CopySizes:
    """How large requests are.

    Attributes:
        whole: Bytes up to which one request copies an object.
        part: Bytes of a part.
        streamed: Bytes of a part that goes through memory.
    """

    whole: int = WHOLE
    part: int = PART
    streamed: int = STREAMED


DEFAULT_SIZES = CopySizes()


def copy_object(
    client: S3Client,
    source: Where,
    info: ObjectInfo,
    target: Where,
    *,
    may_write: Callable[[], None],
    sizes: CopySizes = DEFAULT_SIZES,
) -> bool:
    """Copies an object to another key or bucket of the same store.

    Args:
        client: Of the store, which may read the one and write the other.
        source: What is copied.
        info: Its size, version and recorded SHA-256.
        target: Where to; an object that is there is replaced.
        may_write: Called before every write; raises to stop.
        sizes: How large requests are.

    Returns:
        Whether it was copied; False where the same version is there already.

    Raises:
        ObjectChangedError: The source was replaced meanwhile; nothing is written.
        ChecksumMismatchError: The copy has another size than the source.
        StoreError: Whatever the store refuses.
    """
    metadata = {_VERSION: f"{info.etag.strip(chr(34))}-{info.size}"}
    if info.sha256 is not None:
        metadata["sha256"] = info.sha256
    if _is_there(client, target, info, metadata):
        return False
    copy = _Copy(client, source, info, target, metadata, may_write)
    try:
        if info.size <= sizes.whole:
            copy.whole()
        else:
            copy.in_parts(copy.ranges(sizes.part), copy.copied_part)
    except _NotImplementedError:
        copy.in_parts(copy.ranges(sizes.streamed), copy.streamed_part)
    if not _is_there(client, target, info, metadata):
        raise ChecksumMismatchError(
            target, f"it is not the copy of {source}", "see whether another writes this key"
        )
    return True


class _NotImplementedError(Exception):
    """The store does not copy objects."""


def _is_there(
    client: S3Client, target: Where, info: ObjectInfo, metadata: Mapping[str, str]
) -> bool:
    try:
        with translated(target):
            answer = client.head_object(Bucket=target.bucket, Key=target.key)
    except ObjectMissingError:
        return False
    recorded = {name.lower(): value for name, value in answer["Metadata"].items()}
    return (
        answer["ContentLength"] == info.size
        and recorded.get(_VERSION) == metadata[_VERSION]
        and recorded_sha256(recorded) == metadata.get("sha256")
    )


@dataclass(frozen=True, slots=True)
class _Copy:
    client: S3Client
    source: Where
    info: ObjectInfo
    target: Where
    metadata: dict[str, str]
    may_write: Callable[[], None]

    def whole(self) -> None:
        self.may_write()
        with self._refusals():
            self.client.copy_object(
                Bucket=self.target.bucket,
                Key=self.target.key,
                CopySource=self._copy_source(),
                CopySourceIfMatch=self.info.etag,
                Metadata=self.metadata,
                MetadataDirective="REPLACE",
            )

    def ranges(self, part: int) -> Iterator[tuple[int, int, int]]:
        """Number, first byte and length of each part."""
        length = max(part, -(-self.info.size // _MOST_PARTS))
        for number, start in enumerate(range(0, max(1, self.info.size), length), 1):
            yield number, start, min(length, self.info.size - start)

    def in_parts(
        self,
        ranges: Iterator[tuple[int, int, int]],
        send: Callable[[str, int, int, int], str],
    ) -> None:
        self._abort_open()
        self.may_write()
        with translated(self.target):
            upload = self.client.create_multipart_upload(
                Bucket=self.target.bucket, Key=self.target.key, Metadata=self.metadata
            )["UploadId"]
        try:
            parts: list[CompletedPartTypeDef] = []
            for number, start, length in ranges:
                self.may_write()
                etag = send(upload, number, start, length)
                parts.append({"ETag": etag, "PartNumber": number})
            self.may_write()
            with translated(self.target):
                self.client.complete_multipart_upload(
                    Bucket=self.target.bucket,
                    Key=self.target.key,
                    UploadId=upload,
                    MultipartUpload={"Parts": parts},
                )
        except BaseException:
            self._abort(upload)
            raise

    def copied_part(self, upload: str, number: int, start: int, length: int) -> str:
        with self._refusals():
            answer = self.client.upload_part_copy(
                Bucket=self.target.bucket,
                Key=self.target.key,
                UploadId=upload,
                PartNumber=number,
                CopySource=self._copy_source(),
                CopySourceIfMatch=self.info.etag,
                CopySourceRange=f"bytes={start}-{start + length - 1}",
            )
        return answer["CopyPartResult"]["ETag"]

    def streamed_part(self, upload: str, number: int, start: int, length: int) -> str:
        data = b""
        if length:
            data = receive_range(self.client, self.source, start, length, self.info.etag)
        with translated(self.target):
            answer = self.client.upload_part(
                Bucket=self.target.bucket,
                Key=self.target.key,
                UploadId=upload,
                PartNumber=number,
                Body=data,
                ContentMD5=content_md5(data),
            )
        return answer["ETag"]

    def _copy_source(self) -> Any:
        return {"Bucket": self.source.bucket, "Key": self.source.key}

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        from botocore.exceptions import ClientError

        try:
            with translated(self.source):
                yield
        except AlreadyExistsError as error:  # 412: the condition on the source failed
            raise ObjectChangedError(
                self.source, "it was replaced while it was being copied", "copy it again"
            ) from error
        except StoreError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError):
                answer = cause.response
                status = str(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
                if _UNKNOWN & {status, str(answer.get("Error", {}).get("Code"))}:
                    raise _NotImplementedError from error
            raise

    def _abort_open(self) -> None:
        """Removes what an earlier try left: its parts would be paid for ever."""
        with translated(self.target):
            answer = self.client.list_multipart_uploads(
                Bucket=self.target.bucket, Prefix=self.target.key
            )
        for upload in answer.get("Uploads", []):
            if upload["Key"] == self.target.key:
                self.may_write()
                self._abort(upload["UploadId"])

    def _abort(self, upload: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client.abort_multipart_upload(
                Bucket=self.target.bucket, Key=self.target.key, UploadId=upload
            )
        except (BotoCoreError, ClientError):
            return  # the error that led here says more; the next try removes the parts

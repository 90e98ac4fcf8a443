"""An S3 client with its objects in memory: the methods of boto3 that fedjob uses, and faults."""

# ruff: noqa: N803, S324 - the names and the checksums are those of S3

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError, IncompleteReadError

PAGE = 2
"""Objects in a page of a listing: so few that every test has several pages."""


def refusal(operation: str, status: int, code: str = "") -> ClientError:
    """What boto3 raises for an answer with an HTTP error."""
    error = {"Code": code or str(status), "Message": "made by the test"}
    return ClientError(
        {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[arg-type]
        operation,
    )


class Body(io.BytesIO):
    """The body of an answer; may break off."""

    def __init__(self, data: bytes, cut: int | None) -> None:
        super().__init__(data if cut is None else data[:cut])
        self._cut = cut is not None

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        if self._cut and (not piece or size in (None, -1)):
            raise IncompleteReadError(actual_bytes=0, expected_bytes=1)
        return piece


class MemoryClient:
    """Objects by key, in one bucket that may be missing.

    Attributes:
        objects: Key to (bytes, metadata).
        uploads: Parts of multipart uploads that are not complete, by upload id.
        upload_keys: The key of every upload id.
        modified: Time at which each object was written or upload started, by key or upload id.
        clock: The store's time, seconds since the epoch.
        calls: (method, key) of every request.
        faults: Method to what happens at its next calls: an exception is raised, a function is
            called with the client; None lets the call through.
        cuts: Bytes after which the next bodies break off; None is whole.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.uploads: dict[str, tuple[dict[str, str], dict[int, bytes]]] = {}
        self.upload_keys: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.faults: dict[str, list[BaseException | Callable[[MemoryClient], None] | None]] = {}
        self.cuts: list[int | None] = []
        self.modified: dict[str, float] = {}
        self.clock = 1_800_000_000.0
        self.bucket_exists = True
        self.closed = 0
        self._lock = threading.RLock()

    def close(self) -> None:
        self.closed += 1

    def put_object(
        self,
        Key: str,
        Body: bytes,
        ContentMD5: str,
        Metadata: dict[str, str],
        IfNoneMatch: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        with self._call("put_object", Key):
            if base64.b64encode(hashlib.md5(Body).digest()).decode() != ContentMD5:
                raise refusal("PutObject", 400, "BadDigest")
            if IfNoneMatch == "*" and Key in self.objects:
                raise refusal("PutObject", 412, "PreconditionFailed")
            self.store(Key, Body, Metadata)
            return {"ETag": self._etag(Key)}

    def get_object(
        self, Key: str, Range: str | None = None, IfMatch: str | None = None, **_: Any
    ) -> dict[str, Any]:
        with self._call("get_object", Key):
            data, metadata = self._object("GetObject", Key)
            if IfMatch is not None and IfMatch != self._etag(Key):
                raise refusal("GetObject", 412, "PreconditionFailed")
            if Range is not None:
                first, last = map(int, Range.removeprefix("bytes=").split("-"))
                data = data[first : last + 1]
            cut = self.cuts.pop(0) if self.cuts else None
            return {"Body": Body(data, cut), "Metadata": metadata}

    def head_object(self, Key: str, **_: Any) -> dict[str, Any]:
        with self._call("head_object", Key):
            if Key not in self.objects:
                raise refusal("HeadObject", 404)
            data, metadata = self.objects[Key]
            return {
                "ContentLength": len(data),
                "ETag": self._etag(Key),
                "Metadata": metadata,
                "LastModified": self._modified(Key),
            }

    def list_objects_v2(self, Prefix: str, ContinuationToken: str = "", **_: Any) -> dict[str, Any]:
        with self._call("list_objects_v2", Prefix):
            keys = sorted(k for k in self.objects if k.startswith(Prefix) and k > ContinuationToken)
            page = [
                {
                    "Key": key,
                    "Size": len(self.objects[key][0]),
                    "ETag": self._etag(key),
                    "LastModified": self._modified(key),
                }
                for key in keys[:PAGE]
            ]
            more = len(keys) > PAGE
            return {
                "Contents": page,
                "IsTruncated": more,
                **({"NextContinuationToken": keys[PAGE - 1]} if more else {}),
            }

    def delete_object(self, Key: str, **_: Any) -> None:
        with self._call("delete_object", Key):
            self.objects.pop(Key, None)

    def head_bucket(self, **_: Any) -> None:
        with self._call("head_bucket", ""):
            if not self.bucket_exists:
                raise refusal("HeadBucket", 404)

    def create_bucket(self, **_: Any) -> None:
        with self._call("create_bucket", ""):
            self.bucket_exists = True

    def create_multipart_upload(self, Key: str, Metadata: dict[str, str], **_: Any) -> Any:
        with self._call("create_multipart_upload", Key):
            name = f"upload-{len(self.calls)}"
            self.uploads[name] = (dict(Metadata), {})
            self.upload_keys[name] = Key
            self.modified[name] = self.clock
            return {"UploadId": name}

    def upload_part(
        self, Key: str, UploadId: str, PartNumber: int, Body: bytes, ContentMD5: str, **_: Any
    ) -> dict[str, Any]:
        with self._call("upload_part", Key):
            if base64.b64encode(hashlib.md5(Body).digest()).decode() != ContentMD5:
                raise refusal("UploadPart", 400, "BadDigest")
            self.uploads[UploadId][1][PartNumber] = bytes(Body)
            return {"ETag": f'"{PartNumber}"'}

    def copy_object(
        self,
        Key: str,
        CopySource: dict[str, str],
        CopySourceIfMatch: str,
        Metadata: dict[str, str],
        MetadataDirective: str,
        **_: Any,
    ) -> None:
        with self._call("copy_object", Key):
            assert MetadataDirective == "REPLACE"
            self.store(Key, self._copied("CopyObject", CopySource, CopySourceIfMatch), Metadata)

    def upload_part_copy(
        self,
        Key: str,
        UploadId: str,
        PartNumber: int,
        CopySource: dict[str, str],
        CopySourceIfMatch: str,
        CopySourceRange: str,
        **_: Any,
    ) -> dict[str, Any]:
        with self._call("upload_part_copy", Key):
            data = self._copied("UploadPartCopy", CopySource, CopySourceIfMatch)
            first, last = map(int, CopySourceRange.removeprefix("bytes=").split("-"))
            assert 0 <= first <= last < len(data), "S3 refuses a range beyond the source"
            self.uploads[UploadId][1][PartNumber] = data[first : last + 1]
            return {"CopyPartResult": {"ETag": f'"{PartNumber}"'}}

    def _copied(self, operation: str, source: dict[str, str], etag: str) -> bytes:
        data, _ = self._object(operation, source["Key"])
        if etag != self._etag(source["Key"]):
            raise refusal(operation, 412, "PreconditionFailed")
        return data

    def complete_multipart_upload(
        self, Key: str, UploadId: str, MultipartUpload: dict[str, Any], **_: Any
    ) -> None:
        with self._call("complete_multipart_upload", Key):
            if UploadId not in self.uploads:
                raise refusal("CompleteMultipartUpload", 404, "NoSuchUpload")
            metadata, parts = self.uploads.pop(UploadId)
            numbers = [part["PartNumber"] for part in MultipartUpload["Parts"]]
            assert numbers == sorted(numbers), "S3 wants the parts in order"
            self.store(Key, b"".join(parts[number] for number in numbers), metadata)

    def abort_multipart_upload(self, Key: str, UploadId: str, **_: Any) -> None:
        with self._call("abort_multipart_upload", Key):
            self.uploads.pop(UploadId, None)

    def list_multipart_uploads(
        self, Prefix: str, KeyMarker: str = "", UploadIdMarker: str = "", **_: Any
    ) -> dict[str, Any]:
        with self._call("list_multipart_uploads", Prefix):
            found = sorted(
                (self.upload_keys[name], name)
                for name in self.uploads
                if self.upload_keys[name].startswith(Prefix)
            )
            found = [entry for entry in found if entry > (KeyMarker, UploadIdMarker)]
            page = [
                {
                    "Key": key,
                    "UploadId": name,
                    "Initiated": self._modified(name),
                }
                for key, name in found[:PAGE]
            ]
            more = len(found) > PAGE
            last = (
                {"NextKeyMarker": page[-1]["Key"], "NextUploadIdMarker": page[-1]["UploadId"]}
                if more
                else {}
            )
            return {"Uploads": page, "IsTruncated": more, **last}

    def list_parts(
        self, Key: str, UploadId: str, PartNumberMarker: int = 0, **_: Any
    ) -> dict[str, Any]:
        with self._call("list_parts", Key):
            if UploadId not in self.uploads:
                raise refusal("ListParts", 404, "NoSuchUpload")
            parts = self.uploads[UploadId][1]
            numbers = sorted(number for number in parts if number > PartNumberMarker)
            page = [
                {"PartNumber": n, "Size": len(parts[n]), "ETag": f'"{n}"'} for n in numbers[:PAGE]
            ]
            more = len(numbers) > PAGE
            last = {"NextPartNumberMarker": numbers[PAGE - 1]} if more else {}
            return {"Parts": page, "IsTruncated": more, **last}

    def store(self, key: str, data: bytes, metadata: dict[str, str]) -> None:
        """Writes an object at the store's time."""
        self.objects[key] = (bytes(data), dict(metadata))
        self.modified[key] = self.clock

    def generate_presigned_post(
        self, bucket: str, key: str, Conditions: list[Any], ExpiresIn: int
    ) -> dict[str, Any]:
        policy = f"{Conditions[0][1]}-{Conditions[0][2]} bytes for {ExpiresIn} s"
        return {"url": f"http://store/{bucket}", "fields": {"key": key, "policy": policy}}

    def generate_presigned_url(self, _: str, Params: dict[str, Any], ExpiresIn: int) -> str:
        part = f"&{Params['UploadId']}&{Params['PartNumber']}" if "UploadId" in Params else ""
        return f"http://store/{Params['Bucket']}/{Params['Key']}?{ExpiresIn}{part}"

    def _call(self, method: str, key: str) -> threading.RLock:
        with self._lock:
            self.calls.append((method, key))
            queue = self.faults.get(method, [])
            fault = queue.pop(0) if queue else None
        if isinstance(fault, BaseException):
            raise fault
        if fault is not None:
            fault(self)
        return self._lock  # type: ignore[return-value]

    def _object(self, operation: str, key: str) -> tuple[bytes, dict[str, str]]:
        if not self.bucket_exists:
            raise refusal(operation, 404, "NoSuchBucket")
        if key not in self.objects:
            raise refusal(operation, 404, "NoSuchKey")
        return self.objects[key]

    def _modified(self, key: str) -> datetime:
        return datetime.fromtimestamp(self.modified.get(key, self.clock), UTC)

    def _etag(self, key: str) -> str:
        return f'"{hashlib.md5(self.objects[key][0]).hexdigest()}"'

"""A bucket in memory, with the methods of fedjob.storage.bucket.Bucket that stages use."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fedjob.protocol.config import StoreLocation
from fedjob.storage.credentials import Credentials
from fedjob.storage.errors import AlreadyExistsError, ObjectMissingError, Where
from fedjob.storage.layout import Layout
from fedjob.storage.objects import ObjectInfo, Outcome, Upload
from fedjob_operator.stages.job_store import JobStore

LOCATION = StoreLocation(endpoint="http://store.test", bucket="jobs")


class MemoryForms:
    """Presigned forms of a bucket, as fedjob.storage.client_uploads makes them."""

    def __init__(self, name: str) -> None:
        self._name = name

    def presign_form(self, key: str, *, most: int, seconds: int) -> dict[str, Any]:
        fields = {"key": key, "most": str(most), "seconds": str(seconds)}
        return {"url": f"http://store.test/{self._name}", "fields": fields}


class MemoryBucket:
    """Objects by key.

    Attributes:
        objects: The content of each object.
        writes: Uploads, puts and deletions in order, such as `put jobs/team/x`.
    """

    def __init__(self, name: str = "jobs") -> None:
        self.name = name
        self.objects: dict[str, bytes] = {}
        self.writes: list[str] = []

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def close(self) -> None:
        """Has no connections."""

    def head(self, key: str) -> ObjectInfo | None:
        if key not in self.objects:
            return None
        content = self.objects[key]
        return ObjectInfo(key, len(content), '"1"', hashlib.sha256(content).hexdigest())

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield ObjectInfo(key, len(self.objects[key]), '"1"')

    def get_bytes(self, key: str, limit: int = 1 << 20) -> bytes:
        self._require(key)
        return self.objects[key]

    def open_seekable(self, key: str) -> BinaryIO:
        return io.BytesIO(self.get_bytes(key))

    def put_bytes(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        if if_absent and key in self.objects:
            raise AlreadyExistsError(Where(self.name, "http://store.test", key), "exists", "")
        self.writes.append(f"put {key}")
        self.objects[key] = data

    def upload_file(self, path: Path, key: str, progress: Any = None) -> Upload:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        outcome = Outcome.SKIPPED if self.objects.get(key) == data else Outcome.UPLOADED
        if outcome is Outcome.UPLOADED:
            self.writes.append(f"put {key}")
            self.objects[key] = data
        return Upload(key, digest, len(data), outcome)

    def copy_from(
        self, source: MemoryBucket, key: str, target: str, *, may_write: Callable[[], None]
    ) -> bool:
        data = source.get_bytes(key)
        if self.objects.get(target) == data:
            return False
        may_write()
        self.put_bytes(target, data)
        return True

    def delete(self, key: str) -> None:
        self.writes.append(f"delete {key}")
        self.objects.pop(key, None)

    def delete_prefix(self, prefix: str) -> None:
        for info in list(self.list(prefix)):
            self.delete(info.key)

    def presign_get(self, key: str, seconds: int) -> str:
        return f"http://store.test/{self.name}/{key}?seconds={seconds}"

    def client_uploads(self) -> MemoryForms:
        return MemoryForms(self.name)

    def _require(self, key: str) -> None:
        if key not in self.objects:
            raise ObjectMissingError(Where(self.name, "http://store.test", key), "missing", "fix")


class MemoryStore(JobStore):
    """The store of job team/digits, whose buckets are in memory."""

    def __init__(self) -> None:
        super().__init__(
            location=LOCATION,
            reached=LOCATION,
            credentials=Credentials("key", "secret"),
            layout=Layout("team", "digits"),
        )
        object.__setattr__(self, "buckets", {"jobs": MemoryBucket()})

    def bucket(self, name: str = "") -> Any:
        buckets: dict[str, MemoryBucket] = self.__dict__["buckets"]
        return buckets.setdefault(name or "jobs", MemoryBucket(name))

    def signing(self, name: str) -> Any:
        return self.bucket(name)

"""A store in memory with a client that uploads to it by offers of the operator."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from fedjob.protocol.config import StoreLocation
from fedjob.protocol.sealing import new_private_key, public_key
from fedjob.protocol.transfer import ExpectedFile, UploadOffer, UploadRequest, open_upload_offer
from fedjob.storage import bucket as bucket_module
from fedjob.storage.bucket import Bucket
from fedjob.storage.credentials import Credentials
from fedjob.storage.layout import Layout
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.state.transfers import Uploads
from support.s3_client import MemoryClient

PRIVATE = new_private_key()
PUBLIC = public_key(PRIVATE)
ROOT = "jobs/team/digits/"


class UploadStore(JobStore):
    """The store of job team/digits; `client` is what boto3 would be."""

    def __init__(self, patch: Callable[[Any, str, Any], None]) -> None:
        location = StoreLocation(endpoint="http://store.test", bucket="jobs")
        super().__init__(location, location, Credentials("key", "secret"), Layout("team", "digits"))
        client = MemoryClient()
        patch(bucket_module, "connect", lambda *_, **__: client)
        object.__setattr__(self, "made", (client, Bucket(location, Credentials("k", "s"))))

    @property
    def client(self) -> MemoryClient:
        return self.__dict__["made"][0]  # type: ignore[no-any-return]

    def bucket(self, name: str = "") -> Bucket:
        return self.__dict__["made"][1]  # type: ignore[no-any-return]

    def signing(self, name: str) -> Bucket:
        return self.bucket(name)

    def send(self, request: UploadRequest, data: bytes) -> None:
        """What the store does at a presigned PUT."""
        body = data[request.offset : request.offset + request.length]
        if request.part:
            upload_id = request.url.split("&")[1]
            self.client.uploads[upload_id][1][request.part] = body
        else:
            metadata = {"sha256": request.headers["x-amz-meta-sha256"]}
            self.client.store(ROOT + request.path, body, metadata)


def file_of(name: str, data: bytes) -> ExpectedFile:
    """The announcement of a shard."""
    return ExpectedFile(f"shards/{name}", name, hashlib.sha256(data).hexdigest(), len(data))


def offer_in(found: Uploads, uid: str = "uid-1") -> UploadOffer:
    """The offer that the client of PRIVATE reads."""
    assert found.offer is not None
    return open_upload_offer(found.offer.sealed, PRIVATE, uid)


def parts_in(offer: UploadOffer) -> Iterable[tuple[str, int]]:
    """Path and part of each request."""
    return [(request.path, request.part) for request in offer.requests]

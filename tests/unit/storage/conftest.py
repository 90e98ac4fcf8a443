"""A bucket whose store is in memory."""

from __future__ import annotations

import pytest

from fedjob.protocol.config import StoreLocation
from fedjob.storage import bucket as module
from fedjob.storage.bucket import Bucket
from support.s3_client import MemoryClient


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient()


@pytest.fixture
def bucket(client: MemoryClient, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(module, "connect", lambda *args, **options: client)
    return Bucket(StoreLocation(endpoint="http://store", bucket="jobs"))

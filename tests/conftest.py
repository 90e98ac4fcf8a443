"""A real S3 store for every test that asks for one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.protocol.config import StoreLocation
from fedjob.storage.bucket import Bucket

# The tests start hundreds of processes: each would compile our modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# These machines are noisy: a slow example is not a wrong one.
# In CI the examples are the same each time: what is new is found by developers, and then kept.
settings.register_profile("fedjob", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("fedjob")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """SeaweedFS on loopback, with its own ports and keys; tests must not stop it."""
    folder = tmp_path_factory.mktemp("store")
    with EmbeddedStore(folder / "data", folder / "store.log") as running:
        yield running


@pytest.fixture
def location(store: EmbeddedStore) -> StoreLocation:
    """The store's bucket, under a prefix of this test alone."""
    return store.location.model_copy(update={"prefix": f"test-{uuid.uuid4().hex[:12]}"})


@pytest.fixture
def bucket(store: EmbeddedStore, location: StoreLocation) -> Iterator[Bucket]:
    """The bucket of `location`."""
    with Bucket(location, store.credentials) as opened:
        yield opened

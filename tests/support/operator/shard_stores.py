"""A job's store with shards in it."""

from __future__ import annotations

import io
import json
import zipfile

from support.memory_bucket import MemoryStore


def shard(*labels: int) -> bytes:
    """A shard ZIP with one sample for each label."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        rows = [{"id": str(i), "uri": f"{i}.txt", "y": y} for i, y in enumerate(labels)]
        archive.writestr("manifest.ndjson", "\n".join(map(json.dumps, rows)))
        for i in range(len(labels)):
            archive.writestr(f"{i}.txt", "x")
    return data.getvalue()


def store_with(**shards: bytes) -> MemoryStore:
    """A store with these shards, named without `.zip`."""
    store = MemoryStore()
    for name, content in shards.items():
        store.bucket().objects[store.layout.shard(f"{name}.zip")] = content
    return store

"""Presigned GETs, one a worker, each of its own shard (row 38). Signing needs no network."""

from __future__ import annotations

from fedjob.storage.bucket import LONGEST_PRESIGN
from fedjob_operator.labels import worker_names
from fedjob_operator.observed import SignedUrl
from fedjob_operator.prepare.store import JobStore
from fedjob_operator.record import ShardPlace


def sign_urls(store: JobStore, shards: list[ShardPlace], now: float) -> dict[str, SignedUrl]:
    """A URL for each worker's shard.

    Args:
        store: The job's store.
        shards: In the order of the workers.
        now: Seconds since the epoch.
    """
    return {
        worker: SignedUrl(
            store.signing(shard.bucket).presign_get(shard.key, LONGEST_PRESIGN),
            f"{shard.bucket}/{shard.key}",
            int(now) + LONGEST_PRESIGN,
        )
        for worker, shard in zip(worker_names(len(shards)), shards, strict=True)
    }

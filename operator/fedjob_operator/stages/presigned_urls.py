"""Presigned GET URLs: one per worker, each for its own shard (row 38). Signing needs no network."""

from __future__ import annotations

from fedjob_operator.naming import worker_names
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.state.observed import SignedUrl
from fedjob_operator.state.record import ShardPlace


def sign_urls(
    store: JobStore, shards: list[ShardPlace], now: float, seconds: int
) -> dict[str, SignedUrl]:
    """The URL of each worker's shard, by worker.

    Args:
        store: The job's store.
        shards: The shards in the order of the workers.
        now: The current time, in seconds since the epoch.
        seconds: Validity of the URLs, in seconds.
    """
    return {
        worker: SignedUrl(
            store.signing(shard.bucket).presign_get(shard.key, seconds),
            f"{shard.bucket}/{shard.key}",
            int(now) + seconds,
        )
        for worker, shard in zip(worker_names(len(shards)), shards, strict=True)
    }

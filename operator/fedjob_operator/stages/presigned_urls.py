"""What each worker's Secret holds: a presigned GET of its own shard (row 38), forms for its logs.

Signing needs no network. A form is signed for one object and for at most `LIMIT` bytes of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from fedjob_operator.naming import worker_names
from fedjob_operator.resources.pod_contract import log_form_file
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.state.observed import SignedUrl
from fedjob_operator.state.record import ShardPlace

LOG_FORMS = 3
"""Forms for the logs of this many pods of a worker, the current one first."""
LOG_BYTES = 8 * 1024 * 1024
"""Bytes of a worker's log; its runtime keeps no more."""


def sign_urls(
    store: JobStore,
    shards: list[ShardPlace],
    now: float,
    seconds: int,
    ordinals: Mapping[str, int],
) -> dict[str, SignedUrl]:
    """The URL of each worker's shard, by worker.

    Args:
        store: The job's store.
        shards: The shards in the order of the workers.
        now: The current time, in seconds since the epoch.
        seconds: Validity of the URLs, in seconds.
        ordinals: The number of each worker's current pod; 0 where it is not among them.
    """
    own = store.signing(store.location.bucket).client_uploads()
    signed = {}
    for worker, shard in zip(worker_names(len(shards)), shards, strict=True):
        first = ordinals.get(worker, 0)
        starts = range(first, first + LOG_FORMS)
        forms = {
            log_form_file(start): json.dumps(
                own.presign_form(
                    store.layout.site_log(worker, start), most=LOG_BYTES, seconds=seconds
                )
            )
            for start in starts
        }
        signed[worker] = SignedUrl(
            store.signing(shard.bucket).presign_get(shard.key, seconds),
            f"{shard.bucket}/{shard.key}",
            int(now) + seconds,
            forms,
            starts[-1],
        )
    return signed

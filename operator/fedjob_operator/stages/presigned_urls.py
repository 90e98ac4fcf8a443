"""What each worker's Secret holds: a presigned GET of its own shard (row 38), forms for its logs.

Signing needs no network. A form is signed for one object and for at most `LIMIT` bytes of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fedjob_operator.naming import worker_names
from fedjob_operator.resources.pod_contract import files_form_file, log_form_file
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.state.observed import SignedUrl
from fedjob_operator.state.record import ShardPlace

LOG_FORMS = 3
"""Forms for the logs of this many pods of a worker, the current one first."""
FILES_FORMS = 64
"""Forms for the files of this many rounds, the next one first."""
ZIP_BYTES = 1024 * 1024
"""Bytes by which a ZIP may exceed its files."""
LOG_BYTES = 8 * 1024 * 1024
"""Bytes of a worker's log; its runtime keeps no more."""


@dataclass(frozen=True, slots=True)
class KeptRounds:
    """The rounds whose files may be kept.

    Attributes:
        completed: The last committed round.
        total: spec.federation.numRounds.
        max_bytes: Of one round of one worker.
    """

    completed: int
    total: int
    max_bytes: int

    def rounds(self) -> range:
        """The next rounds, the last of the job among them where it is near."""
        first = max(1, min(self.completed + 1, self.total))
        return range(first, min(first + FILES_FORMS, self.total + 1))


def sign_urls(
    store: JobStore,
    shards: list[ShardPlace],
    now: float,
    seconds: int,
    *,
    ordinals: Mapping[str, int],
    kept: KeptRounds | None = None,
) -> dict[str, SignedUrl]:
    """The URL of each worker's shard, by worker.

    Args:
        store: The job's store.
        shards: The shards in the order of the workers.
        now: The current time, in seconds since the epoch.
        seconds: Validity of the URLs, in seconds.
        ordinals: The number of each worker's current pod; 0 where it is not among them.
        kept: The rounds whose files are kept; None where the job keeps none.
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
        rounds = kept.rounds() if kept is not None else range(0)
        for number in rounds:
            key = store.layout.kept_files(worker, number)
            most = kept.max_bytes + ZIP_BYTES if kept is not None else 0
            form = own.presign_form(key, most=most, seconds=seconds)
            forms[files_form_file(number)] = json.dumps(form)
        signed[worker] = SignedUrl(
            store.signing(shard.bucket).presign_get(shard.key, seconds),
            f"{shard.bucket}/{shard.key}",
            int(now) + seconds,
            forms,
            starts[-1],
            rounds[-1] if rounds else 0,
        )
    return signed

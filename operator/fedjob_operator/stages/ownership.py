"""Which job a prefix of the store belongs to: one job of a name after another.

A deleted job leaves its objects behind. A new job of the same name must not continue its rounds or
its uploads, so the prefix records its owner, and what an earlier owner left unfinished is removed
before anything runs. An operator that has lost its lease may still be at work: it checks the lease
before every write.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.bucket import Bucket
from fedjob.storage.layout import Layout
from fedjob_operator.stages.errors import StageError

MayAct = Callable[[], None]
"""Raises if this operator must not change anything any more."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The job that a prefix belongs to.

    Attributes:
        uid: The job's uid.
        created: Its creationTimestamp; such texts sort by time.
    """

    uid: str
    created: str


def owner_of(job: FederatedJob) -> Owner:
    """The owner that a job's prefix should have."""
    return Owner(uid=str(job.metadata.uid), created=job.metadata.creation_timestamp or "")


def owner_key(layout: Layout) -> str:
    """The object that records the owner."""
    return layout.under(layout.attempts, "owner.json")


def take_ownership(
    bucket: Bucket, layout: Layout, owner: Owner, may_act: MayAct, *, uploads: bool = False
) -> None:
    """Makes the prefix the job's own, unless it is already.

    Args:
        bucket: The job's bucket.
        layout: The job's object keys.
        owner: The job.
        may_act: Called before every write.
        uploads: Whether multipart uploads of an earlier owner are aborted, too: a job that is
            uploaded to must find none.

    Raises:
        StageError: A later job of the same name owns the prefix.
    """
    key = owner_key(layout)
    found = read_owner(bucket, key)
    if found is not None and found.uid == owner.uid:
        return
    if found is not None and found.created > owner.created:
        message = (
            f"{bucket.uri(key)}: a later job of this name has started, so this one has ended; "
            "no action is needed"
        )
        raise StageError(Reason.FENCED, message)
    for prefix in (layout.rounds, layout.attempts):
        may_act()
        bucket.delete_prefix(prefix)
    if uploads:
        client_uploads = bucket.client_uploads()
        for upload in list(client_uploads.open(layout.root)):
            may_act()
            client_uploads.abort(upload)
    # The owner is written last: after an interruption, all deletions are repeated.
    may_act()
    bucket.put_bytes(key, json.dumps(asdict(owner)).encode())


def read_owner(bucket: Bucket, key: str) -> Owner | None:
    """The recorded owner; None if there is none or the record is incomplete."""
    if bucket.head(key) is None:
        return None
    try:
        record = json.loads(bucket.get_bytes(key))
        return Owner(uid=str(record.get("uid")), created=str(record.get("created") or ""))
    except (ValueError, AttributeError):
        return None

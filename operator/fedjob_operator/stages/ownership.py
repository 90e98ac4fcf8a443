"""Which job a prefix of the store belongs to: one job of a name after another.

A deleted job leaves its objects behind. A new job of the same name must not continue its rounds or
its uploads, so the prefix records its owner, and what an earlier owner left unfinished is removed
before anything runs. An operator that has lost its lease may still be at work: it checks the lease
before every write.

Several clusters may share a bucket and a prefix by mistake. The record names the cluster, so that a
job in one never removes the rounds of a job in another. Records that name none are of an earlier
version: the first job that takes the prefix adopts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.bucket import Bucket
from fedjob.storage.errors import AlreadyExistsError
from fedjob.storage.layout import Layout
from fedjob.storage.owner import Owner, read_owner
from fedjob_operator.stages.errors import StageError

MayAct = Callable[[], None]
"""Raises if this operator must not change anything any more."""


def owner_of(job: FederatedJob, cluster: str) -> Owner:
    """The owner that a job's prefix should have.

    Args:
        job: The job.
        cluster: The id of this cluster.
    """
    created = job.metadata.creation_timestamp or ""
    return Owner(uid=str(job.metadata.uid), created=created, cluster=cluster)


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
        StageError: A later job of the same name owns the prefix, or a job of another cluster does;
            nothing was changed.
    """
    key = layout.owner
    found = read_owner(bucket, key)
    if found is not None and found.is_foreign_to(owner):
        raise StageError(Reason.PREFIX_IN_USE, _in_use(bucket, layout, found))
    if found is not None and found.uid == owner.uid:
        if owner.cluster and not found.cluster:
            adopted = replace(owner, taken=found.taken)
            may_act()
            bucket.put_bytes(key, adopted.to_json())
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
    try:
        # The record of an earlier owner went with its attempts, so none is expected: of two
        # clusters that take a prefix at once, one wins.
        bucket.put_bytes(key, owner.to_json(), if_absent=True)
    except AlreadyExistsError:
        winner = read_owner(bucket, key)
        if winner is None or not winner.is_same_job(owner):
            message = f"{bucket.uri(key)}: another job takes the prefix at this moment; it is tried"
            raise StageError(Reason.PREFIX_IN_USE, f"{message} again") from None


def _in_use(bucket: Bucket, layout: Layout, owner: Owner) -> str:
    return (
        f"{bucket.uri(layout.root)} belongs to a job of another cluster ({owner.cluster}), so "
        "nothing is read or written there; give this cluster a prefix of its own in the store "
        "(the chart's storage.prefix, spec.storage.prefix), rename the job, or delete the objects "
        "if that cluster does not exist any more"
    )

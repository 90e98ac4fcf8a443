"""Finds and removes what deleted jobs have left in a store. Results are kept unless asked for.

A job is gone when its cluster has no job of its namespace and name. Whether a prefix is this
cluster's to clean is decided by the record of its owner: prefixes of other clusters are left alone,
and so are prefixes without a record, which may be uploads for a job that is not there yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from fedjob.storage.bucket import Bucket
from fedjob.storage.client_uploads import OpenUpload
from fedjob.storage.layout import Layout, jobs_root, layout_of_key
from fedjob.storage.owner import Owner, read_owner

UPLOAD_SECONDS = 86400.0
"""An unfinished multipart upload of a deleted job is removed when it is this old."""

JobKey = tuple[str, str]
"""Namespace and name of a job."""


class Verdict(StrEnum):
    """What becomes of a prefix, as a person reads it."""

    REMOVE = "remove"
    EXISTS = "kept: the job exists"
    RECENT = "kept: written to recently"
    FOREIGN = "kept: of another cluster"
    UNCLAIMED = "kept: nobody's (--unclaimed)"
    ELSEWHERE = "kept: its namespace was not looked at"
    RESULTS = "kept: results (--results)"


@dataclass(slots=True)
class Amount:
    """Objects and their bytes."""

    objects: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Counts one more object."""
        self.objects += 1
        self.bytes += size


@dataclass(slots=True)
class StoredJob:
    """What a store has of one job.

    Attributes:
        layout: The job's keys.
        inputs: Shards, code, first weights, rounds and attempts.
        results: The model, the report, logs and kept files.
        uploads: Multipart uploads that are neither complete nor aborted.
        newest: When the last object was written or upload was started, seconds since the epoch.
        owner: The job that the prefix belongs to; None without a record.
    """

    layout: Layout
    inputs: Amount = field(default_factory=Amount)
    results: Amount = field(default_factory=Amount)
    uploads: list[OpenUpload] = field(default_factory=list)
    newest: float = 0.0
    owner: Owner | None = None

    @property
    def key(self) -> JobKey:
        """Namespace and name."""
        return self.layout.namespace, self.layout.name

    def is_result(self, key: str) -> bool:
        """Whether an object is a result of the run."""
        return key.startswith((self.layout.model_out, self.layout.files_out))


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRules:
    """What may be removed.

    Attributes:
        cluster: The id of this cluster.
        existing: Every job of the namespaces that were looked at.
        namespaces: Those namespaces; None: all of the cluster.
        written_before: Prefixes that were written to later are kept, seconds since the epoch.
        results: Whether results are removed, too.
        unclaimed: Whether prefixes are removed that name no owner, or no cluster.
    """

    cluster: str
    existing: Collection[JobKey]
    namespaces: Collection[str] | None
    written_before: float
    results: bool = False
    unclaimed: bool = False

    def judge(self, job: StoredJob) -> Verdict:
        """What becomes of a job's objects."""
        if self.namespaces is not None and job.layout.namespace not in self.namespaces:
            return Verdict.ELSEWHERE
        if job.key in self.existing:
            return Verdict.EXISTS
        cluster = job.owner.cluster if job.owner is not None else ""
        if cluster and cluster != self.cluster:
            return Verdict.FOREIGN
        if not cluster and not self.unclaimed:
            return Verdict.UNCLAIMED
        if job.newest >= self.written_before:
            return Verdict.RECENT
        only_record = job.inputs.objects == (1 if job.owner is not None else 0)
        if not self.results and job.results.objects and only_record and not job.uploads:
            return Verdict.RESULTS
        return Verdict.REMOVE


def stored_jobs(bucket: Bucket, prefix: str) -> list[StoredJob]:
    """What a store has of every job, by namespace and name.

    Args:
        bucket: The store's bucket.
        prefix: What is put before `jobs/`.

    Raises:
        StoreError: The store cannot be read.
    """
    found: dict[JobKey, StoredJob] = {}
    for info in bucket.list(jobs_root(prefix)):
        job = _job_of(found, prefix, info.key)
        if job is not None:
            (job.results if job.is_result(info.key) else job.inputs).add(info.size)
            job.newest = max(job.newest, info.modified)
    for upload in bucket.client_uploads().open(jobs_root(prefix)):
        job = _job_of(found, prefix, upload.key)
        if job is not None:
            job.uploads.append(upload)
            job.newest = max(job.newest, upload.started)
    for job in found.values():
        job.owner = read_owner(bucket, job.layout.owner)
    return [found[key] for key in sorted(found)]


def remove(bucket: Bucket, job: StoredJob, *, results: bool) -> Amount:
    """Removes what a deleted job has left; returns what was removed.

    The record of the owner goes last, and only with the results, so that an interruption leaves a
    prefix which the next run still recognizes. Nothing is removed where the owner has changed.

    Raises:
        StoreError: The store cannot be used; what was removed until then is gone.
    """
    removed = Amount()
    for key, size in _to_remove(bucket, job, results=results):
        bucket.delete(key)
        removed.add(size)
    uploads = bucket.client_uploads()
    if _is_unchanged(bucket, job):
        for upload in job.uploads:
            uploads.abort(upload)
        if results:
            bucket.delete(job.layout.owner)
    return removed


def _to_remove(bucket: Bucket, job: StoredJob, *, results: bool) -> Iterator[tuple[str, int]]:
    layout = job.layout
    prefixes = [layout.rounds, layout.shards, layout.model, layout.scripts, layout.configs]
    prefixes += [layout.requirements, layout.attempts]
    prefixes += [layout.model_out, layout.files_out] if results else []
    for prefix in prefixes:
        # A job of the same name may take the prefix at any moment.
        if not _is_unchanged(bucket, job):
            return
        for info in list(bucket.list(prefix)):
            if info.key != layout.owner:
                yield info.key, info.size


def _is_unchanged(bucket: Bucket, job: StoredJob) -> bool:
    return read_owner(bucket, job.layout.owner) == job.owner


def old_uploads(job: StoredJob, now: float) -> list[OpenUpload]:
    """Unfinished uploads of a job's own server that are older than a day: it has started again.

    Args:
        job: A job that exists.
        now: Seconds since the epoch.
    """
    shards = job.layout.shards  # these come from clients, who may take days
    return [
        upload
        for upload in job.uploads
        if not upload.key.startswith(shards) and now - upload.started > UPLOAD_SECONDS
    ]


def _job_of(found: dict[JobKey, StoredJob], prefix: str, key: str) -> StoredJob | None:
    layout = layout_of_key(prefix, key)
    if layout is None:
        return None
    return found.setdefault((layout.namespace, layout.name), StoredJob(layout))

"""Uploads the job folder to S3, and takes over the job's prefix from an earlier job of the name.

A deleted job leaves its round log behind. A new job of the same name must not continue it, so the
prefix records its owner, and the rounds of an earlier owner are deleted before anything runs. An
operator that has lost its lease may still be running this: it checks the lease before every write,
and never deletes what a later job of the name has written.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from fedjob.reasons import Reason
from fedjob.storage.bucket import Bucket
from fedjob.storage.job_upload import job_folder_key, upload
from fedjob.storage.layout import Layout
from fedjob_operator.stages.errors import StageError
from fedjob_operator.stages.job_store import JobStore

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


def checksum(files: Mapping[str, bytes]) -> str:
    """The SHA-256 over the paths and contents of all files, in hexadecimal."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def upload_workspace(
    store: JobStore,
    owner: Owner,
    files: Mapping[str, bytes],
    copies: Mapping[str, tuple[str, str]],
    may_act: MayAct,
) -> str:
    """Uploads files that differ, and deletes code and configuration that the job no longer has.

    Args:
        store: The job's store.
        owner: The job.
        files: The job folder: content by path.
        copies: Objects of other buckets to copy: target key to (bucket, key).
        may_act: Called before every write.

    Returns:
        The checksum of the job folder.

    Raises:
        StageError: A later job of the same name owns the prefix.
    """
    bucket = store.bucket()
    with tempfile.TemporaryDirectory() as scratch:
        _take_ownership(bucket, store.layout, owner, may_act)
        plan = {}
        for number, (path, content) in enumerate(sorted(files.items())):
            file = Path(scratch) / str(number)
            file.write_bytes(content)
            plan[job_folder_key(store.layout, path)] = file
        upload(bucket, store.layout, plan, may_write=may_act)
        for target, (name, key) in copies.items():
            file = Path(scratch) / "copy"
            store.bucket(name).download_file(key, file)
            may_act()
            bucket.upload_file(file, target)
    return checksum(files)


def _take_ownership(bucket: Bucket, layout: Layout, owner: Owner, may_act: MayAct) -> None:
    key = layout.under(layout.attempts, "owner.json")
    found = _read_owner(bucket, key)
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
    # The owner is written last: after an interruption, all deletions are repeated.
    may_act()
    bucket.put_bytes(key, json.dumps(asdict(owner)).encode())


def _read_owner(bucket: Bucket, key: str) -> Owner | None:
    """The recorded owner; None if there is none or the record is incomplete."""
    if bucket.head(key) is None:
        return None
    try:
        record = json.loads(bucket.get_bytes(key))
        return Owner(uid=str(record.get("uid")), created=str(record.get("created") or ""))
    except (ValueError, AttributeError):
        return None

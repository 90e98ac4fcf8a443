"""Uploads the job folder to S3, and takes over the job's prefix from an earlier job of the name.

An operator that has lost its lease may still be running this: it checks the lease before every
write, and never deletes what a later job of the name has written.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fedjob.storage.job_upload import job_folder_key, upload
from fedjob.storage.owner import Owner
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.stages.ownership import MayAct, take_ownership


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
        take_ownership(bucket, store.layout, owner, may_act)
        plan = {}
        for number, (path, content) in enumerate(sorted(files.items())):
            file = Path(scratch) / str(number)
            file.write_bytes(content)
            plan[job_folder_key(store.layout, path)] = file
        upload(bucket, store.layout, plan, may_write=may_act)
        for target, (name, key) in copies.items():
            # By the store, not through this process: a checkpoint may have gigabytes.
            bucket.copy_from(store.bucket(name), key, target, may_write=may_act)
    return checksum(files)

"""The job folder in S3, by checksum; and the job's prefix made the job's own.

A job that was deleted leaves its log of rounds behind. One of the same name starts afresh: the log
carries its owner's uid, and another owner's rounds are deleted before anything runs.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fedjob.storage.bucket import Bucket
from fedjob.storage.layout import Layout
from fedjob_operator.prepare.store import JobStore

PARALLEL = 8


def checksum(files: Mapping[str, bytes]) -> str:
    """One SHA-256 over all files, in hex."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def object_key(layout: Layout, path: str) -> str:
    """Where a file of the job folder is in S3."""
    if path.startswith("app/custom/"):
        return layout.under(layout.scripts, path.removeprefix("app/custom/"))
    if path.startswith("app/config/"):
        return layout.under(layout.configs, path.removeprefix("app/config/"))
    if path == "requirements.txt":
        return layout.under(layout.requirements, path)
    return layout.under(layout.configs, path)


def upload_workspace(
    store: JobStore, uid: str, files: Mapping[str, bytes], copies: Mapping[str, tuple[str, str]]
) -> str:
    """Uploads what differs, deletes what the job does not have any more.

    Args:
        store: The job's store.
        uid: The job's uid.
        files: The job folder.
        copies: Target key to the (bucket, key) to copy from.

    Returns:
        The folder's checksum.
    """
    bucket = store.bucket()
    with tempfile.TemporaryDirectory() as scratch:
        _own(bucket, store.layout, uid)
        wanted = {object_key(store.layout, path): content for path, content in files.items()}
        for number, (key, content) in enumerate(sorted(wanted.items())):
            path = Path(scratch) / str(number)
            path.write_bytes(content)
            bucket.upload_file(path, key)
        for prefix in (store.layout.scripts, store.layout.configs, store.layout.requirements):
            for info in list(bucket.list(prefix)):
                if info.key not in wanted:
                    bucket.delete(info.key)
        for target, (name, key) in copies.items():
            path = Path(scratch) / "copy"
            store.bucket(name).download_file(key, path)
            bucket.upload_file(path, target)
    return checksum(files)


def _own(bucket: Bucket, layout: Layout, uid: str) -> None:
    key = layout.under(layout.attempts, "owner.json")
    if bucket.head(key) is not None:
        try:
            if json.loads(bucket.get_bytes(key)).get("uid") == uid:
                return
        except ValueError:
            pass  # cut off while it was written, before any server of ours started
    bucket.delete_prefix(layout.rounds)
    bucket.delete_prefix(layout.attempts)
    # Last: broken off before this, all of it is done again.
    bucket.put_bytes(key, json.dumps({"uid": uid}).encode())

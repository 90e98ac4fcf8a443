"""The job folder in S3, by checksum; and the job's prefix made the job's own.

A job that was deleted leaves its log of rounds behind. One of the same name starts afresh: the log
carries its owner, and an earlier owner's rounds are deleted before anything runs. An operator
that has lost its lease in the middle of this may still be at it: it asks before every call, and
never deletes what a later job of the name has made.
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
from fedjob.storage.layout import Layout
from fedjob_operator.stages.errors import StageError
from fedjob_operator.stages.job_store import JobStore

MayAct = Callable[[], None]
"""Raises where this operator must not change anything any more."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The job that a prefix belongs to.

    Attributes:
        uid: Its uid.
        created: Its creationTimestamp; such texts sort as the moments do.
    """

    uid: str
    created: str


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
    store: JobStore,
    owner: Owner,
    files: Mapping[str, bytes],
    copies: Mapping[str, tuple[str, str]],
    may_act: MayAct,
) -> str:
    """Uploads what differs, deletes what the job does not have any more.

    Args:
        store: The job's store.
        owner: The job.
        files: The job folder.
        copies: Target key to the (bucket, key) to copy from.
        may_act: Asked before every call that changes something.

    Returns:
        The folder's checksum.

    Raises:
        StageError: A later job of the same name owns the prefix.
    """
    bucket = store.bucket()
    with tempfile.TemporaryDirectory() as scratch:
        _own(bucket, store.layout, owner, may_act)
        wanted = {object_key(store.layout, path): content for path, content in files.items()}
        for number, (key, content) in enumerate(sorted(wanted.items())):
            path = Path(scratch) / str(number)
            path.write_bytes(content)
            may_act()
            bucket.upload_file(path, key)
        for prefix in (store.layout.scripts, store.layout.configs, store.layout.requirements):
            for info in list(bucket.list(prefix)):
                if info.key not in wanted:
                    may_act()
                    bucket.delete(info.key)
        for target, (name, key) in copies.items():
            path = Path(scratch) / "copy"
            store.bucket(name).download_file(key, path)
            may_act()
            bucket.upload_file(path, target)
    return checksum(files)


def _own(bucket: Bucket, layout: Layout, owner: Owner, may_act: MayAct) -> None:
    key = layout.under(layout.attempts, "owner.json")
    found = _read_owner(bucket, key)
    if found is not None and found.uid == owner.uid:
        return
    if found is not None and found.created > owner.created:
        message = f"{bucket.uri(key)}: a later job of this name has begun, so this one is over"
        raise StageError(Reason.FENCED, message)
    for prefix in (layout.rounds, layout.attempts):
        may_act()
        bucket.delete_prefix(prefix)
    # Last: broken off before this, all of it is done again.
    may_act()
    bucket.put_bytes(key, json.dumps(asdict(owner)).encode())


def _read_owner(bucket: Bucket, key: str) -> Owner | None:
    """None where there is none, or it was cut off while it was written, before a server started."""
    if bucket.head(key) is None:
        return None
    try:
        said = json.loads(bucket.get_bytes(key))
        return Owner(str(said.get("uid")), str(said.get("created") or ""))
    except (ValueError, AttributeError):
        return None

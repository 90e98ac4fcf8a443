"""Removes uploaded files that claim a SHA-256 which their bytes do not have.

The store checks the bytes of a file that is sent whole. Parts carry no checksum of the file, so a
client may announce one file and send another; a worker finds that out. As long as the object is
there, the file that was announced would never be sent: its size and its claim are right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fedjob.protocol.transfer import WHOLE, ExpectedFile
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.stages.ownership import MayAct

_BLOCK = 4 << 20


def remove_refused(store: JobStore, files: Sequence[ExpectedFile], may_act: MayAct) -> list[str]:
    """Reads every large file, and deletes those with other bytes than announced.

    Args:
        store: The job's store.
        files: What the job has announced.
        may_act: Called before every deletion.

    Returns:
        The paths of deleted files.

    Raises:
        StoreError: The store cannot be used.
    """
    bucket, root = store.bucket(), store.layout.root
    removed = []
    for file in files:
        key = root + file.path
        info = bucket.head(key) if file.size > WHOLE else None
        if info is None or info.sha256 != file.sha256:
            continue  # not there, or another file, which is not skipped
        digest = hashlib.sha256()
        with bucket.open_seekable(key) as content:
            while block := content.read(_BLOCK):
                digest.update(block)
        now = bucket.head(key)
        if digest.hexdigest() == file.sha256 or now is None or now.etag != info.etag:
            continue
        may_act()
        bucket.delete(key)
        removed.append(file.path)
    return removed

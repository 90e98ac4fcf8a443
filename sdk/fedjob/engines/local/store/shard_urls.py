"""Files with presigned URLs, one a worker: the only way to a shard, renewed in time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from fedjob.atomic_files import write_text
from fedjob.storage.bucket import LONGEST_PRESIGN, Bucket

RENEW_AFTER = LONGEST_PRESIGN / 2
"""Seconds: a worker that starts at any moment has a URL that is good for half an hour at least."""


class ShardUrls:
    """The URL files of one run (row 38)."""

    def __init__(self, bucket: Bucket, keys: Mapping[Path, str]) -> None:
        """Args: the bucket; the object key that each URL file stands for."""
        self._bucket = bucket
        self._keys = dict(keys)
        self._written: float | None = None

    def renew(self, now: float | None = None) -> bool:
        """Write the files when they are due; returns whether they were.

        Args:
            now: Monotonic seconds; by default the clock's.
        """
        now = time.monotonic() if now is None else now
        if self._written is not None and now - self._written < RENEW_AFTER:
            return False
        for path, key in self._keys.items():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_text(path, self._bucket.presign_get(key, LONGEST_PRESIGN), private=True)
        self._written = now
        return True

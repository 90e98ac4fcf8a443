"""The record of which job a prefix of the store belongs to.

Several clusters may share a bucket and a prefix by mistake, so the record names the cluster.
Records that name none are of an earlier version.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from fedjob.storage.bucket import Bucket


@dataclass(frozen=True, slots=True)
class Owner:
    """The job that a prefix belongs to.

    Attributes:
        uid: The job's uid.
        created: Its creationTimestamp; such texts sort by time.
        cluster: The id of its cluster; empty in records of earlier versions.
        taken: When it took the prefix, seconds since the epoch by the store's clock, where the
            record was written again since; 0: when the record was written.
    """

    uid: str
    created: str
    cluster: str = ""
    taken: float = field(default=0.0, compare=False)

    def is_same_job(self, other: Owner) -> bool:
        """Whether both are one job; a record of an earlier version does not name its cluster."""
        return self.uid == other.uid and not self.is_foreign_to(other)

    def is_foreign_to(self, other: Owner) -> bool:
        """Whether the two are known to belong to different clusters."""
        return bool(self.cluster and other.cluster) and self.cluster != other.cluster

    def to_json(self) -> bytes:
        """The bytes of the record."""
        record = {"uid": self.uid, "created": self.created, "cluster": self.cluster}
        return json.dumps({**record, **({"taken": self.taken} if self.taken else {})}).encode()


def read_owner(bucket: Bucket, key: str) -> Owner | None:
    """The recorded owner; None if there is none or the record is incomplete.

    Args:
        bucket: The job's bucket.
        key: `Layout.owner`.

    Raises:
        StoreError: The store cannot be read.
    """
    info = bucket.head(key)
    if info is None:
        return None
    try:
        record = json.loads(bucket.get_bytes(key))
        return Owner(
            uid=str(record.get("uid")),
            created=str(record.get("created") or ""),
            cluster=str(record.get("cluster") or ""),
            taken=float(record.get("taken") or info.modified),
        )
    except (ValueError, AttributeError, TypeError):
        return None

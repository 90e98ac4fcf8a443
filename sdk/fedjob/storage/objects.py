"""Descriptions of an object and of an upload."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """Metadata of an object.

    Attributes:
        key: Its key.
        size: Bytes.
        etag: Of this version, with its quotes.
        sha256: Of its bytes, in hex, as recorded when fedjob wrote it; None in listings and for
            objects that fedjob did not write.
        modified: When it was written, seconds since the epoch by the store's clock; 0 if unknown.
    """

    key: str
    size: int
    etag: str
    sha256: str | None = None
    modified: float = field(default=0.0, compare=False)


class Outcome(StrEnum):
    """How an upload ended."""

    UPLOADED = "uploaded"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is in the store now; `outcome` says whether it was already."""

    key: str
    sha256: str
    size: int
    outcome: Outcome

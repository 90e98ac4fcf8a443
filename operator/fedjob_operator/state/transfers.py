"""What the operator knows of a job's uploads and downloads by clients without keys.

All of it can be read again from the store and the job's annotations: a new process begins with
nothing, and makes new offers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TransferAsk:
    """What the job's annotations ask for.

    Attributes:
        key: The client's public key; empty where no client has one.
        want: Its request for a new offer of uploads.
        results: Its request for results.
    """

    key: str = ""
    want: str = ""
    results: str = ""


@dataclass(frozen=True, slots=True)
class SealedUpload:
    """An offer of uploads, as the status has it.

    Attributes:
        ask: The annotations that it answers; `results` is empty.
        sealed: The offer, encrypted for `ask.key`.
        sequence: Grows with every offer.
        expires: Seconds since the epoch.
        requests: Path, part and upload id of every request in it.
        bytes: Bytes that had arrived when it was made.
    """

    ask: TransferAsk
    sealed: str = field(repr=False)
    sequence: int
    expires: int
    requests: frozenset[tuple[str, int, str]] = field(repr=False)
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """What has arrived, as the store had it at `checked`.

    Attributes:
        checked: Seconds since the epoch.
        interval: Seconds until the store is looked at again.
        verified: Path of each file that has arrived with its SHA-256, and the object's ETag.
        bytes: Bytes that have arrived, with the parts of unfinished files.
        total_files: Files that the job waits for.
        total_bytes: Their bytes.
        offer: What a client may send; None where none has asked, or nothing is missing.
        ask: The annotations as they were at `checked`.
        lapsed: Whether their offer ended unused: the client is gone until they change.
    """

    checked: float
    interval: float
    verified: Mapping[str, str]
    bytes: int
    total_files: int
    total_bytes: int
    offer: SealedUpload | None = None
    ask: TransferAsk = field(default_factory=TransferAsk)
    lapsed: bool = False

    @property
    def complete(self) -> bool:
        """Whether every file has arrived."""
        return len(self.verified) == self.total_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The answer to a request for results.

    Attributes:
        ask: The annotations that it answers; `want` is empty.
        sealed: The offer, encrypted for `ask.key`; empty where nothing is offered.
        expires: Seconds since the epoch.
        objects: Objects in the offer.
        omitted: Further objects that exist.
        message: Why nothing is offered.
    """

    ask: TransferAsk
    sealed: str = field(default="", repr=False)
    expires: int = 0
    objects: int = 0
    omitted: int = 0
    message: str = ""

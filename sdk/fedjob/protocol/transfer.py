"""What a client without keys of the store and the operator say to each other, through a job.

The client writes annotations; the operator answers in `status.transfer` with a sealed offer
(`fedjob.protocol.sealing`): presigned requests that each reach one object under the job's prefix.

- Uploads: the spec names the files (`expected_files`) and `KEY_ANNOTATION` holds the client's
  public key. `status.transfer.upload.sealed` is an `UploadOffer`; a larger `sequence` replaces it.
  Changing `WANT_ANNOTATION` to any other text asks for a new offer.
- Results: `RESULTS_ANNOTATION` holds the text of a `ResultsRequest`; the offer that answers it has
  the same text as its `nonce`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from fedjob.protocol.sealing import SealError, seal, unseal
from fedjob.spec.models.base import Model
from fedjob.spec.models.job import FederatedJobSpec
from fedjob.spec.models.status import MAX_SEALED

T = TypeVar("T")

KEY_ANNOTATION = "fedjob.dev/transfer-key"
"""Annotation with the client's public key, base64."""
WANT_ANNOTATION = "fedjob.dev/transfer-want"
"""Annotation whose change asks for a new offer of uploads; at most 128 characters count."""
RESULTS_ANNOTATION = "fedjob.dev/results-want"
"""Annotation that asks for an offer of results: the text of a `ResultsRequest`."""

UPLOAD = "upload"
"""Kind of an offer to upload, part of its context."""
RESULTS = "results"
"""Kind of an offer of results, part of its context."""

WHOLE = 16 * 1024 * 1024
"""Files up to this many bytes are sent in one PUT, larger ones in parts."""
MOST_PARTS = 1000
"""Parts of one file."""
MOST_REQUESTS = 1000
"""Presigned requests of one offer; the next offer has the rest."""
_MIB = 1024 * 1024
_ROUND = re.compile(r"([A-Za-z0-9_-]{1,64})(?:/round=(0|[1-9][0-9]{0,8}))?")


class Message(Model):
    """A part of an offer; ignores fields of a newer operator, so that old clients can read it."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


class Tunnel(Message):
    """The pod to which a client outside the cluster forwards a port to reach the store.

    The client connects to the forwarded port, and sends the Host header of the signed URL.
    """

    namespace: str
    pod: str
    port: int


class UploadRequest(Message):
    """One presigned PUT: a whole file, or one part of it.

    Attributes:
        path: The file's path below the job's prefix, as in `expected_files`.
        part: Number of the part, from 1; 0 is the whole file.
        offset: Where its bytes begin in the file.
        length: Its bytes; the URL accepts no other length.
        url: The presigned URL; secret until it expires.
        headers: Headers that must be sent as they are: they are signed.
    """

    path: str
    part: int = Field(ge=0)
    offset: int = Field(ge=0)
    length: int = Field(ge=0)
    url: str = Field(repr=False)
    headers: dict[str, str] = Field(default_factory=dict)


class Download(Message):
    """One presigned GET.

    Attributes:
        path: The object's path below the job's prefix, such as `model_out/result.json`.
        size: Bytes.
        etag: Of the object, with its quotes.
        url: The presigned URL; secret until it expires.
    """

    path: str
    size: int = Field(ge=0)
    etag: str = ""
    url: str = Field(repr=False)


class UploadOffer(Message):
    """The requests that a client may send now.

    Attributes:
        sequence: Grows with every offer.
        expires: Seconds since the epoch.
        requests: What is missing, at most `MOST_REQUESTS`; empty where all has arrived.
        endpoint: URL of the store, as it was signed.
        tunnel: How to reach the endpoint from outside the cluster; None where it is reachable.
    """

    sequence: int
    expires: int
    requests: list[UploadRequest]
    endpoint: str | None = None
    tunnel: Tunnel | None = None


class ResultsOffer(Message):
    """The results that a client may read now.

    Attributes:
        nonce: The text of the request.
        expires: Seconds since the epoch.
        objects: Results first, then logs, the newest first.
        omitted: Further objects that exist.
        endpoint: URL of the store, as it was signed.
        tunnel: How to reach the endpoint from outside the cluster; None where it is reachable.
    """

    nonce: str
    expires: int
    objects: list[Download]
    omitted: int = 0
    endpoint: str | None = None
    tunnel: Tunnel | None = None


@dataclass(frozen=True, slots=True)
class ResultsRequest:
    """What a client asks for: `model_out/` and `files_out/`, and the model of one round.

    Attributes:
        nonce: 1 to 64 letters, digits, `-` and `_`; another nonce asks again.
        round: A committed round whose files are wanted too; None: of none.
    """

    nonce: str
    round: int | None = None

    def text(self) -> str:
        """The value of `RESULTS_ANNOTATION`."""
        return self.nonce if self.round is None else f"{self.nonce}/round={self.round}"

    @classmethod
    def parse(cls, text: str) -> ResultsRequest | None:
        """The request of an annotation; None where it is none."""
        found = _ROUND.fullmatch(text)
        return cls(found[1], int(found[2]) if found[2] else None) if found else None


@dataclass(frozen=True, slots=True)
class ExpectedFile:
    """A file that the client uploads.

    Attributes:
        path: Below the job's prefix in the store; identifies the file in offers.
        name: Its name on the client's side.
        sha256: Of its bytes, in hex.
        size: Bytes.
    """

    path: str
    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """A range of a file; number 0 is the whole file."""

    number: int
    offset: int
    length: int


MODEL_SOURCE = "model/model_def.py"
"""Path of an uploaded model_def.py below the job's prefix."""
SHARDS = "shards/"
"""Shards lie under it."""


def checkpoint_path(suffix: str) -> str:
    """Path of uploaded initial weights below the job's prefix."""
    return f"model/checkpoint{suffix}"


def model_file_path(path: str) -> str:
    """Path of an uploaded file beside model_def.py, below the job's prefix."""
    return f"model/files/{path}"


def expected_files(spec: FederatedJobSpec) -> list[ExpectedFile]:
    """Every file that the job waits for, in the order of their paths."""
    found: list[ExpectedFile] = []
    source, model, shards = spec.model.source.upload, spec.model.upload, spec.shards.upload
    if source is not None:
        found.append(ExpectedFile(MODEL_SOURCE, "model_def.py", source.sha256, source.size))
    if model is not None and (first := model.checkpoint) is not None:
        name = f"checkpoint{first.suffix}"
        found.append(ExpectedFile(checkpoint_path(first.suffix), name, first.sha256, first.size))
    if model is not None:
        found += [
            ExpectedFile(model_file_path(file.path), file.path, file.sha256, file.size)
            for file in model.files
        ]
    if shards is not None:
        found += [
            ExpectedFile(f"{SHARDS}{file.name}", file.name, file.sha256, file.size)
            for file in shards.files
        ]
    return sorted(found, key=lambda file: file.path)


def parts_of(size: int) -> Iterator[Part]:
    """How a file of `size` bytes is sent: the same for operator and client, whenever they start."""
    if size <= WHOLE:
        yield Part(0, 0, size)
        return
    step = max(WHOLE, -(-size // MOST_PARTS))
    step = -(-step // _MIB) * _MIB
    for number, offset in enumerate(range(0, size, step), start=1):
        yield Part(number, offset, min(step, size - offset))


def seal_offer(offer: UploadOffer | ResultsOffer, recipient: str, uid: str) -> str:
    """The text for the status.

    Args:
        offer: The offer.
        recipient: The value of `KEY_ANNOTATION`.
        uid: The job's uid: an offer cannot be opened as another job's.

    Raises:
        InvalidInputError: The annotation is not a public key.
    """
    kind = UPLOAD if isinstance(offer, UploadOffer) else RESULTS
    return seal(offer.model_dump_json().encode(), recipient, f"{uid}/{kind}")


def seal_what_fits(
    make: Callable[[Sequence[T]], UploadOffer | ResultsOffer],
    items: Sequence[T],
    recipient: str,
    uid: str,
) -> tuple[str, int]:
    """The text for the status, of as many items as a status takes.

    Args:
        make: The offer of the first items.
        items: What is to be offered; half of it, and half again, where it is too long.
        recipient: The value of `KEY_ANNOTATION`.
        uid: The job's uid.

    Returns:
        The text, and how many items it offers.

    Raises:
        InvalidInputError: The annotation is not a public key.
    """
    while True:
        sealed = seal_offer(make(items), recipient, uid)
        if len(sealed) <= MAX_SEALED:
            return sealed, len(items)
        items = items[: len(items) // 2]


def open_upload_offer(sealed: str, private: bytes, uid: str) -> UploadOffer:
    """Reads `status.transfer.upload.sealed`.

    Raises:
        SealError: It is for another key or job, or of a newer operator.
    """
    try:
        return UploadOffer.model_validate_json(unseal(sealed, private, f"{uid}/{UPLOAD}"))
    except ValidationError as error:
        raise _newer(error) from None


def open_results_offer(sealed: str, private: bytes, uid: str) -> ResultsOffer:
    """Reads `status.transfer.results.sealed`.

    Raises:
        SealError: It is for another key or job, or of a newer operator.
    """
    try:
        return ResultsOffer.model_validate_json(unseal(sealed, private, f"{uid}/{RESULTS}"))
    except ValidationError as error:
        raise _newer(error) from None


def _newer(error: ValidationError) -> SealError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return SealError(
        f"the operator's offer has {where}: {first['msg']}; use the operator's version of fedjob"
    )

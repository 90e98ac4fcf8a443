"""What can go wrong with the store: each error names the object and says what to do."""

from __future__ import annotations

from dataclasses import dataclass

from fedjob.errors import FedjobError, UnavailableError
from fedjob.reasons import Reason


@dataclass(frozen=True, slots=True)
class Where:
    """The place an operation was about.

    Attributes:
        bucket: Bucket name.
        endpoint: URL of the store; `AWS` where none is configured.
        key: Object key or prefix; empty when the bucket itself is meant.
    """

    bucket: str
    endpoint: str
    key: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key} at {self.endpoint}"


class StoreError(UnavailableError):
    """Base of what the store answers when it does not do what it was asked.

    Attributes:
        reason: Its name in the catalogue.
        where: Bucket, key and endpoint.
    """

    reason = Reason.STORE_UNREACHABLE

    def __init__(self, where: Where, problem: str, fix: str) -> None:
        self.where = where
        super().__init__(f"{where}: {problem}; {fix}")


class StoreUnreachableError(StoreError):
    """No answer, a cut connection or a 5xx: trying again later may help."""


class StreamCutError(StoreUnreachableError):
    """The answer began and broke off in its body."""


class BucketMissingError(StoreError):
    """The bucket does not exist."""

    reason = Reason.BUCKET_MISSING


class CredentialsRefusedError(StoreError):
    """No credentials, wrong ones, expired ones, or ones without the permission."""

    reason = Reason.CREDENTIALS_REFUSED


class ObjectMissingError(StoreError):
    """The object does not exist."""

    reason = Reason.OBJECT_MISSING


class AlreadyExistsError(StoreError):
    """A conditional write found an object under its key, perhaps one of our own earlier tries."""


class ChecksumMismatchError(StoreError):
    """Bytes are not those whose SHA-256 was recorded."""

    reason = Reason.CHECKSUM_MISMATCH


class ObjectTooLargeError(StoreError):
    """An object has more bytes than what belongs under its key may have."""

    reason = Reason.OBJECT_TOO_LARGE


class ObjectChangedError(StoreError):
    """The object was replaced while it was being read."""


class RoundLogError(FedjobError):
    """Base of what the log of committed rounds refuses."""

    reason = Reason.ROUND_LOG_CORRUPT


class RoundTakenError(RoundLogError):
    """Another server committed this round: its model is the global model, ours is dropped."""


class FencedError(RoundLogError):
    """A newer server start exists: this one must stop."""

    reason = Reason.FENCED


class RoundGapError(RoundLogError):
    """A commit is missing below another one, or below the one to be made."""


class CorruptCommitError(RoundLogError):
    """A commit object is there but is not a commit of its round."""

"""Any error that a preparation may end with, as a reason of the catalogue and a message."""

from __future__ import annotations

from fedjob.errors import FedjobError, InvalidInputError
from fedjob.reasons import Reason
from fedjob.storage import errors as store
from fedjob.workspace.source.model_file import InvalidSourceError
from fedjob_operator.kube.client import ApiError

_REASONS: tuple[tuple[type[FedjobError], Reason], ...] = (
    (store.StoreUnreachableError, Reason.STORE_UNREACHABLE),
    (store.BucketMissingError, Reason.BUCKET_MISSING),
    (store.CredentialsRefusedError, Reason.CREDENTIALS_REFUSED),
    (store.ObjectMissingError, Reason.OBJECT_MISSING),
    (store.ChecksumMismatchError, Reason.CHECKSUM_MISMATCH),
    (store.StoreError, Reason.STORE_UNREACHABLE),
    (store.RoundLogError, Reason.ROUND_LOG_CORRUPT),
    (InvalidSourceError, Reason.SOURCE_INVALID),
    (ApiError, Reason.ADMISSION_REFUSED),
    (InvalidInputError, Reason.SPEC_INVALID),
)
"""The first class that fits."""


class InputError(InvalidInputError):
    """Something that the resource names cannot be used, with its reason.

    Attributes:
        reason: Of the catalogue.
    """

    def __init__(self, reason: str, error: InvalidInputError) -> None:
        self.reason = reason
        super().__init__(error.faults)


class StageError(FedjobError):
    """A preparation that went wrong in a way of its own.

    Attributes:
        reason: Of the catalogue.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def reason_for(error: BaseException) -> str:
    """The catalogue's word for an error; InternalError where there is none."""
    own = getattr(error, "reason", None)
    if own and not isinstance(error, ApiError):
        return str(own)
    return next((r for kind, r in _REASONS if isinstance(error, kind)), Reason.INTERNAL_ERROR)

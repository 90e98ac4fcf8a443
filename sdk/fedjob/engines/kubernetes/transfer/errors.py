"""Why a transfer does not succeed."""

from __future__ import annotations

from fedjob.errors import FedjobError, UnavailableError
from fedjob.reasons import Reason


class StoreAnswerError(UnavailableError):
    """The store cannot be reached, or refuses a presigned request for good."""

    reason = Reason.STORE_UNREACHABLE


class OfferExpiredError(FedjobError):
    """The presigned requests are not accepted any more: ask the operator for new ones."""

    reason = Reason.CREDENTIALS_REFUSED


class TransferStalledError(UnavailableError):
    """The operator does not answer the client's request."""


class FileChangedError(UnavailableError):
    """A file is not the one whose checksum the job names."""

    reason = Reason.CHECKSUM_MISMATCH

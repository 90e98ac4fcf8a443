"""Errors of the store have reasons of the catalogue."""

from __future__ import annotations

from fedjob.reasons import Reason
from fedjob.storage.errors import (
    ChecksumMismatchError,
    CorruptCommitError,
    FencedError,
    StoreUnreachableError,
    Where,
)


def test_the_store_s_errors_have_reasons_of_the_catalogue() -> None:
    where = Where("b", "AWS", "k")
    altered = ChecksumMismatchError(where, "altered", "restore it")
    assert altered.reason is Reason.CHECKSUM_MISMATCH
    assert FencedError("x").reason is Reason.FENCED
    assert CorruptCommitError("x").reason is Reason.ROUND_LOG_CORRUPT
    assert StoreUnreachableError(where, "x", "y").reason is Reason.STORE_UNREACHABLE

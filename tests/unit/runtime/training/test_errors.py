"""Errors of every package have reasons of the catalogue."""

from __future__ import annotations

from fedjob.reasons import Reason
from fedjob.storage.errors import (
    ChecksumMismatchError,
    CorruptCommitError,
    FencedError,
    StoreUnreachableError,
    Where,
)
from fedjob_runtime.training.errors import reason_of


def test_the_store_s_errors_have_reasons_of_the_catalogue() -> None:
    where = Where("b", "AWS", "k")
    altered = ChecksumMismatchError(where, "altered", "restore it")
    assert reason_of(altered) == Reason.CHECKSUM_MISMATCH
    assert reason_of(FencedError("x")) == Reason.FENCED
    assert reason_of(CorruptCommitError("x")) == Reason.ROUND_LOG_CORRUPT
    assert reason_of(StoreUnreachableError(where, "x", "y")) == Reason.STORE_UNREACHABLE

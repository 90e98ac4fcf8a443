"""Uploaded files whose bytes are not what their client announced."""

from __future__ import annotations

import pytest

from fedjob.protocol.transfer import WHOLE
from fedjob.reasons import Reason
from fedjob_operator.stages.errors import StageError
from fedjob_operator.stages.refused_uploads import remove_refused
from support.operator.upload_store import ROOT, UploadStore, file_of

LARGE = b"0123456789abcdef" * (WHOLE // 16) + b"end"
FALSE = LARGE[::-1]
GOOD, BAD = file_of("good.zip", LARGE), file_of("bad.zip", LARGE)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> UploadStore:
    made = UploadStore(monkeypatch.setattr)
    for file, data in ((GOOD, LARGE), (BAD, FALSE)):
        made.client.store(ROOT + file.path, data, {"sha256": file.sha256})
    return made


def leads() -> None:
    """The lease is held."""


def test_file_with_other_bytes_is_removed_and_others_stay(store: UploadStore) -> None:
    absent = file_of("absent.zip", LARGE)
    assert remove_refused(store, [GOOD, BAD, absent], leads) == ["shards/bad.zip"]
    assert store.bucket().head(ROOT + GOOD.path) is not None
    assert store.bucket().head(ROOT + BAD.path) is None


def test_file_of_another_claim_and_small_files_are_not_read(store: UploadStore) -> None:
    other, small = file_of("bad.zip", b"x" * len(LARGE)), file_of("small.zip", b"small")
    store.client.store(ROOT + small.path, b"SMALL", {"sha256": small.sha256})
    store.client.calls.clear()
    assert remove_refused(store, [other, small], leads) == []
    assert "get_object" not in str(store.client.calls)


def test_nothing_is_removed_without_the_lease(store: UploadStore) -> None:
    def lost() -> None:
        raise StageError(Reason.FENCED, "another operator leads")

    with pytest.raises(StageError):
        remove_refused(store, [BAD], lost)
    assert store.bucket().head(ROOT + BAD.path) is not None

"""Looks at uploads: the store alone says what has arrived, and offers cover the rest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from fedjob.errors import InvalidInputError
from fedjob.formats import epoch
from fedjob.protocol import transfer
from fedjob.protocol.sealing import new_private_key, public_key
from fedjob.protocol.transfer import MOST_REQUESTS, WHOLE, ExpectedFile, Tunnel
from fedjob.reasons import Reason
from fedjob.storage.owner import Owner
from fedjob_operator.stages.errors import InputError, StageError
from fedjob_operator.stages.uploads import (
    IDLE_SECONDS,
    LEAST_SECONDS,
    OFFERED_SECONDS,
    UploadJob,
    UploadLimits,
    abort_uploads,
    look_at_uploads,
    remove_refused,
)
from fedjob_operator.state.transfers import TransferAsk, Uploads
from support.operator.upload_store import PUBLIC, ROOT, UploadStore, file_of, offer_in, parts_in

OWNER = Owner("uid-1", "2026-11-24T10:00:00Z")
LATER = Owner("uid-2", "2026-11-24T11:00:00Z")
NOW = 1_800_000_000.0
LIMITS = UploadLimits(file_bytes=10**9, total_bytes=10**9, days=365.0 * 10, url_seconds=3600)
SMALL, OTHER = b"small", b"other"
LARGE = b"0123456789abcdef" * (WHOLE // 16) * 2 + b"end"
FILES = [file_of("big.zip", LARGE), file_of("a.zip", SMALL)]
DATA = {"shards/a.zip": SMALL, "shards/big.zip": LARGE}
ASK = TransferAsk(key=PUBLIC)


def leads() -> None:
    """The lease is held."""


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> UploadStore:
    return UploadStore(monkeypatch.setattr)


def look(
    store: UploadStore,
    before: Uploads | None = None,
    now: float = NOW,
    files: list[ExpectedFile] | None = None,
    limits: UploadLimits = LIMITS,
    may_act: Any = leads,
    **job: Any,
) -> Uploads:
    asked = UploadJob(**{"owner": OWNER, "files": FILES if files is None else files, **job})
    return look_at_uploads(
        store,
        asked,
        limits,
        signing=store.bucket(),
        may_act=may_act,
        before=before,
        now=now,
    )


def test_without_a_client_nothing_is_offered_and_nothing_has_arrived(store: UploadStore) -> None:
    found = look(store, ask=TransferAsk())
    assert found.offer is None
    assert not found.complete
    assert (found.bytes, found.total_files) == (0, 2)
    assert found.total_bytes == len(LARGE) + len(SMALL)


def test_an_offer_covers_small_files_whole_and_large_ones_in_parts(store: UploadStore) -> None:
    tunnel = Tunnel(namespace="fedjob", pod="store-0", port=8333)
    offer = offer_in(look(store, ask=ASK, tunnel=tunnel))
    assert sorted(parts_in(offer)) == [
        ("shards/a.zip", 0),
        ("shards/big.zip", 1),
        ("shards/big.zip", 2),
        ("shards/big.zip", 3),
    ]
    assert offer.expires == NOW + 3600
    assert offer.endpoint == "http://store.test"
    assert offer.tunnel == tunnel
    assert all(request.url.startswith(f"http://store/jobs/{ROOT}") for request in offer.requests)


def test_everything_that_was_sent_is_finished_and_verified(store: UploadStore) -> None:
    first = look(store, ask=ASK)
    for request in offer_in(first).requests:
        store.send(request, DATA[request.path])
    found = look(store, first, ask=ASK)
    assert found.complete
    assert found.offer is None
    assert found.bytes == found.total_bytes
    assert store.client.uploads == {}
    assert store.client.objects[f"{ROOT}shards/big.zip"][0] == LARGE


@pytest.mark.parametrize("sent", range(4))
def test_a_new_process_continues_from_what_the_store_has(store: UploadStore, sent: int) -> None:
    requests = offer_in(look(store, ask=ASK)).requests
    for request in requests[:sent]:
        store.send(request, DATA[request.path])
    found = look(store, None, NOW + 60, ask=ASK)
    assert found.bytes == sum(request.length for request in requests[:sent])
    left = offer_in(found)
    assert list(parts_in(left)) == [(r.path, r.part) for r in requests[sent:]]
    for request in left.requests:
        store.send(request, DATA[request.path])
    assert look(store, found, NOW + 62, ask=ASK).complete
    assert store.client.objects[f"{ROOT}shards/big.zip"][0] == LARGE


def test_a_file_that_is_there_with_the_same_checksum_is_not_sent_again(store: UploadStore) -> None:
    """Row 39."""
    store.client.store(f"{ROOT}shards/a.zip", SMALL, {"sha256": FILES[1].sha256})
    found = look(store, ask=ASK)
    assert set(found.verified) == {"shards/a.zip"}
    assert all(path == "shards/big.zip" for path, _ in parts_in(offer_in(found)))


@pytest.mark.parametrize("metadata", [{}, {"sha256": "0" * 64}])
def test_equal_size_alone_is_not_enough(store: UploadStore, metadata: dict[str, str]) -> None:
    """Row 39."""
    store.client.store(f"{ROOT}shards/a.zip", OTHER, metadata)
    assert ("shards/a.zip", 0) in parts_in(offer_in(look(store, ask=ASK)))


def test_a_part_of_another_size_is_asked_for_again(store: UploadStore) -> None:
    first = look(store, ask=ASK)
    (name,) = store.client.uploads
    store.client.uploads[name][1][2] = b"cut"
    found = look(store, first, ask=replace(ASK, want="again"))
    assert ("shards/big.zip", 2) in parts_in(offer_in(found))
    assert found.bytes == 0


def test_the_same_offer_stays_while_it_serves(store: UploadStore) -> None:
    first = look(store, ask=ASK)
    store.send(offer_in(first).requests[0], DATA[offer_in(first).requests[0].path])
    again = look(store, first, NOW + 5, ask=ASK)
    assert again.offer is first.offer
    assert again.bytes > 0


@pytest.mark.parametrize(
    "ask", [replace(ASK, want="2"), TransferAsk(key=public_key(new_private_key()))]
)
def test_another_request_gets_another_offer(store: UploadStore, ask: TransferAsk) -> None:
    first = look(store, ask=ASK)
    second = look(store, first, NOW + 1, ask=ask)
    assert first.offer is not None
    assert second.offer is not None
    assert second.offer.sequence > first.offer.sequence
    assert second.offer.ask == ask


def test_an_offer_is_renewed_at_half_its_life_while_bytes_arrive(store: UploadStore) -> None:
    first = look(store, ask=ASK)
    store.send(offer_in(first).requests[0], SMALL)
    middle = look(store, first, NOW + 1799, ask=ASK)
    assert middle.offer is first.offer
    later = look(store, middle, NOW + 1801, ask=ASK)
    assert later.offer is not None
    assert later.offer is not first.offer
    assert later.offer.expires == NOW + 1801 + 3600


def test_an_offer_that_nobody_uses_ends_until_the_client_asks_again(store: UploadStore) -> None:
    found = look(store, ask=ASK)
    offer = found.offer
    for second in (1801, 3599):
        found = look(store, found, NOW + second, ask=ASK)
        assert found.offer is offer
    for second in (3601, 3700):
        found = look(store, found, NOW + second, ask=ASK)
        assert found.offer is None
        assert found.lapsed
    asked = look(store, found, NOW + 3800, ask=replace(ASK, want="back"))
    assert asked.offer is not None
    assert not asked.lapsed


def test_many_requests_come_in_several_offers(store: UploadStore) -> None:
    files = [file_of(f"{n:04}.zip", SMALL) for n in range(MOST_REQUESTS + 40)]
    found = look(store, files=files, ask=ASK)
    first = offer_in(found)
    assert len(first.requests) == MOST_REQUESTS
    for request in first.requests[: MOST_REQUESTS // 2 - 1]:
        store.send(request, SMALL)
    found = look(store, found, NOW + 1, files=files, ask=ASK)
    assert offer_in(found).sequence == first.sequence
    store.send(first.requests[MOST_REQUESTS // 2], SMALL)
    store.send(first.requests[MOST_REQUESTS // 2 + 1], SMALL)
    found = look(store, found, NOW + 2, files=files, ask=ASK)
    second = offer_in(found)
    assert second.sequence > first.sequence
    assert f"shards/{MOST_REQUESTS + 39:04}.zip" in {path for path, _ in parts_in(second)}


def test_an_offer_that_is_too_long_for_the_status_is_shortened(
    store: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MAX_SEALED", 2000)
    files = [file_of(f"{n:04}.zip", str(n).encode()) for n in range(200)]
    found = look(store, files=files, ask=ASK)
    assert found.offer is not None
    assert len(found.offer.sealed) <= 2000
    assert 0 < len(offer_in(found).requests) < 200
    assert found.offer.requests == {(path, part, "") for path, part in parts_in(offer_in(found))}


def test_of_two_uploads_of_one_file_the_first_is_kept(store: UploadStore) -> None:
    """Two operators may start one each while the lease changes hands."""
    look(store, ask=ASK)
    (first,) = store.client.uploads
    store.client.clock += 5
    store.bucket().client_uploads().start(f"{ROOT}shards/big.zip", FILES[0].sha256)
    look(store, ask=ASK)
    assert list(store.client.uploads) == [first]


def test_an_upload_that_ends_meanwhile_is_looked_at_again(store: UploadStore) -> None:
    first = look(store, ask=ASK)

    def vanish(client: Any) -> None:
        client.uploads.clear()

    store.client.faults["list_parts"] = [vanish]
    found = look(store, first, NOW + 2, ask=ASK)
    assert ("shards/big.zip", 1) not in parts_in(offer_in(found)) or found.offer is first.offer
    found = look(store, found, NOW + 4, ask=ASK)
    names = {name for path, part, name in found.offer.requests if part} if found.offer else set()
    assert names == set(store.client.uploads)


def test_completion_whose_answer_was_lost_is_noticed(store: UploadStore) -> None:
    first = look(store, ask=ASK)
    for request in offer_in(first).requests:
        store.send(request, DATA[request.path])

    def done_already(client: Any) -> None:
        name, (metadata, parts) = client.uploads.popitem()
        data = b"".join(parts[number] for number in sorted(parts))
        client.store(client.upload_keys[name], data, metadata)

    store.client.faults["complete_multipart_upload"] = [done_already]
    assert look(store, first, ask=ASK).complete


def test_files_above_the_limits_are_refused_before_the_store_is_touched(
    store: UploadStore,
) -> None:
    tight = replace(LIMITS, file_bytes=10, total_bytes=20)
    with pytest.raises(InputError) as caught:
        look(store, limits=tight, ask=ASK)
    assert caught.value.reason is Reason.UPLOAD_TOO_LARGE
    assert [fault.field for fault in caught.value.faults] == [
        "shards/big.zip",
        "spec.shards.upload",
    ]
    assert store.client.calls == []


def test_a_checkpoint_above_the_limits_may_go_to_s3(store: UploadStore) -> None:
    files = [ExpectedFile("model/checkpoint.pt", "checkpoint.pt", "0" * 64, 30)]
    tight = replace(LIMITS, file_bytes=10, total_bytes=20)
    with pytest.raises(InputError, match=r"spec\.model\.checkpoint") as caught:
        look(store, limits=tight, files=files, ask=ASK)
    assert [fault.field for fault in caught.value.faults] == [
        "model/checkpoint.pt",
        "spec.model.upload",
    ]


def test_files_in_folders_of_their_own_are_found(store: UploadStore) -> None:
    contents = {"model/files/a.bin": b"one", "model/files/pkg/b.bin": b"", "shards/a.zip": SMALL}
    files = [
        ExpectedFile(path, path, hashlib.sha256(data).hexdigest(), len(data))
        for path, data in contents.items()
    ]
    found = look(store, files=files, ask=ASK)
    for request in offer_in(found).requests:
        store.send(request, contents[request.path])
    assert look(store, found, files=files, ask=ASK).complete


def test_after_its_days_an_upload_is_refused_and_its_parts_removed(store: UploadStore) -> None:
    look(store, ask=ASK)
    assert store.client.uploads
    created = epoch(OWNER.created)
    assert created is not None
    short = replace(LIMITS, days=2.0)
    with pytest.raises(InputError, match=r"has not arrived in 2 days") as caught:
        look(store, now=created + 2 * 86400 + 1, limits=short, ask=ASK)
    assert caught.value.reason is Reason.UPLOAD_EXPIRED
    assert store.client.uploads == {}


def test_an_annotation_that_is_not_a_key_is_named(store: UploadStore) -> None:
    with pytest.raises(InvalidInputError, match="transfer-key"):
        look(store, ask=TransferAsk(key="nonsense"))


def test_a_new_job_of_the_name_inherits_no_parts(store: UploadStore) -> None:
    look(store, ask=ASK)
    (old,) = store.client.uploads
    store.client.uploads[old][1][1] = LARGE[:WHOLE]
    found = look(store, owner=LATER, ask=ASK)
    assert old not in store.client.uploads
    assert found.bytes == 0
    with pytest.raises(StageError, match="a later job of this name") as caught:
        look(store, owner=OWNER, ask=ASK)
    assert caught.value.reason is Reason.FENCED


def test_a_deleted_jobs_parts_are_removed_unless_a_later_job_has_the_prefix(
    store: UploadStore,
) -> None:
    look(store, ask=ASK)
    assert abort_uploads(store, OWNER, leads) == 1
    assert store.client.uploads == {}
    look(store, owner=LATER, ask=ASK)
    assert abort_uploads(store, OWNER, leads) == 0
    assert len(store.client.uploads) == 1


def test_the_lease_is_checked_before_every_change_of_the_store(store: UploadStore) -> None:
    changes = {"put_object", "delete_object", "create_multipart_upload",
               "complete_multipart_upload", "abort_multipart_upload"}  # fmt: skip
    allowed = 0

    def may_act() -> None:
        nonlocal allowed
        allowed += 1

    first = look(store, may_act=may_act, ask=ASK)
    for request in offer_in(first).requests:
        store.send(request, DATA[request.path])
    look(store, first, may_act=may_act, ask=ASK)
    done = [method for method, _ in store.client.calls if method in changes]
    assert done == ["put_object", "create_multipart_upload", "complete_multipart_upload"]
    assert allowed >= len(done)
    assert json.loads(store.client.objects[f"{ROOT}attempts/owner.json"][0])["uid"] == "uid-1"


def test_a_store_without_news_is_looked_at_less_often(store: UploadStore) -> None:
    found = look(store, ask=ASK)
    assert found.interval == LEAST_SECONDS
    for second in range(1, 9):
        found = look(store, found, NOW + second, ask=ASK)
    assert found.interval == OFFERED_SECONDS
    store.send(offer_in(found).requests[0], SMALL)
    found = look(store, found, NOW + 10, ask=ASK)
    assert found.interval == LEAST_SECONDS
    idle = look(store, ask=TransferAsk())
    for second in range(1, 9):
        idle = look(store, idle, NOW + second, ask=TransferAsk())
    assert idle.interval == IDLE_SECONDS


FALSE = LARGE[::-1]
GOOD, BAD = file_of("good.zip", LARGE), file_of("bad.zip", LARGE)


@pytest.fixture
def sent(store: UploadStore) -> UploadStore:
    """Two complete uploads; one has other bytes than its client announced."""
    for file, data in ((GOOD, LARGE), (BAD, FALSE)):
        store.client.store(ROOT + file.path, data, {"sha256": file.sha256})
    return store


def test_file_with_other_bytes_is_removed_and_others_stay(sent: UploadStore) -> None:
    absent = file_of("absent.zip", LARGE)
    assert remove_refused(sent, [GOOD, BAD, absent], leads) == ["shards/bad.zip"]
    assert sent.bucket().head(ROOT + GOOD.path) is not None
    assert sent.bucket().head(ROOT + BAD.path) is None


def test_file_of_another_claim_and_small_files_are_not_read(sent: UploadStore) -> None:
    other, small = file_of("bad.zip", b"x" * len(LARGE)), file_of("small.zip", b"small")
    sent.client.store(ROOT + small.path, b"SMALL", {"sha256": small.sha256})
    sent.client.calls.clear()
    assert remove_refused(sent, [other, small], leads) == []
    assert "get_object" not in str(sent.client.calls)


def test_nothing_is_removed_without_the_lease(sent: UploadStore) -> None:
    def lost() -> None:
        raise StageError(Reason.FENCED, "another operator leads")

    with pytest.raises(StageError):
        remove_refused(sent, [BAD], lost)
    assert sent.bucket().head(ROOT + BAD.path) is not None

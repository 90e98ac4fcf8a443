"""Answers to requests for results: this job's objects only, bounded, for one client."""

from __future__ import annotations

import pytest

from fedjob.protocol import transfer
from fedjob.protocol.sealing import new_private_key, public_key
from fedjob.protocol.transfer import MOST_REQUESTS, ResultsOffer, open_results_offer
from fedjob.storage.owner import Owner
from fedjob_operator.stages.ownership import take_ownership
from fedjob_operator.stages.results import ResultsJob, offer_results
from fedjob_operator.state.transfers import Results, TransferAsk
from support.operator.upload_store import ROOT, UploadStore

OWNER, OLD = Owner("uid-1", "2026-11-24T10:00:00Z"), Owner("uid-0", "2026-11-24T09:00:00Z")
NOW = 1_800_000_000.0
PRIVATE = new_private_key()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> UploadStore:
    made = UploadStore(monkeypatch.setattr)
    take_ownership(made.bucket(), made.layout, OWNER, lambda: None)
    return made


def write(store: UploadStore, *paths: str) -> None:
    """Writes objects, each a second later than the one before."""
    for path in paths:
        store.client.clock += 1
        store.client.store(ROOT + path, path.encode(), {})


def answer(store: UploadStore, results: str = "n1", key: str = "", owner: Owner = OWNER) -> Results:
    ask = TransferAsk(key=key or public_key(PRIVATE), results=results)
    job = ResultsJob(owner=owner, ask=ask, url_seconds=600)
    return offer_results(store, store.bucket(), job, NOW)


def offered(found: Results) -> ResultsOffer:
    return open_results_offer(found.sealed, PRIVATE, "uid-1")


def test_results_come_first_then_logs_the_newest_first(store: UploadStore) -> None:
    write(store, "files_out/logs/server/1.log", "files_out/files/worker-0/round-1.zip")
    write(store, "files_out/logs/server/2.log", "model_out/model.safetensors", "shards/a.zip")
    found = answer(store)
    offer = offered(found)
    assert [each.path for each in offer.objects] == [
        "model_out/model.safetensors",
        "files_out/logs/server/2.log",
        "files_out/logs/server/1.log",
        "files_out/files/worker-0/round-1.zip",
    ]
    first = offer.objects[0]
    assert first.size == len(first.path)
    assert first.url == f"http://store/jobs/{ROOT}model_out/model.safetensors?600"
    assert offer.nonce == found.ask.results == "n1"
    assert offer.expires == found.expires == NOW + 600
    assert (found.objects, found.omitted, found.message) == (4, 0, "")


def test_a_committed_round_is_offered_when_it_is_asked_for(store: UploadStore) -> None:
    write(store, "rounds/2/model-0.safetensors", "rounds/2/commit.json", "rounds/3/model.x")
    assert [each.path for each in offered(answer(store, "n/round=2")).objects] == [
        "rounds/2/commit.json",
        "rounds/2/model-0.safetensors",
    ]
    uncommitted = answer(store, "n/round=3")
    assert uncommitted.sealed == ""
    assert uncommitted.message == "round 3 has no results yet; ask again later"


def test_what_an_earlier_job_of_the_name_left_is_not_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = UploadStore(monkeypatch.setattr)
    take_ownership(store.bucket(), store.layout, OLD, lambda: None)
    write(store, "model_out/model.safetensors", "files_out/logs/server/1.log")
    before = answer(store)
    assert before.message == "the job has no results yet; ask again later"
    store.client.clock += 1
    take_ownership(store.bucket(), store.layout, OWNER, lambda: None)
    assert answer(store).sealed == ""
    write(store, "model_out/report.html")
    assert [each.path for each in offered(answer(store)).objects] == ["model_out/report.html"]


def test_a_job_without_results_says_so(store: UploadStore) -> None:
    found = answer(store)
    assert (found.sealed, found.objects) == ("", 0)
    assert "ask again later" in found.message


@pytest.mark.parametrize("results", ["a b", "x/round=-1", "n" * 65])
def test_a_request_of_another_form_is_refused_with_the_form(
    store: UploadStore, results: str
) -> None:
    assert "NONCE/round=N" in answer(store, results).message
    assert store.client.calls[-1][0] == "put_object"


def test_a_key_that_is_none_is_refused(store: UploadStore) -> None:
    assert "is not an X25519 public key" in answer(store, key="x").message


def test_offers_are_bounded(store: UploadStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, *(f"files_out/logs/w/{number}.log" for number in range(MOST_REQUESTS + 5)))
    write(store, "model_out/result.json")
    found = answer(store)
    assert (found.objects, found.omitted) == (MOST_REQUESTS, 6)
    assert offered(found).objects[0].path == "model_out/result.json"
    assert offered(found).omitted == 6
    monkeypatch.setattr(transfer, "MAX_SEALED", 4000)
    shorter = answer(store)
    assert len(shorter.sealed) <= 4000
    assert 0 < shorter.objects == len(offered(shorter).objects) < MOST_REQUESTS
    assert shorter.objects + shorter.omitted == MOST_REQUESTS + 6

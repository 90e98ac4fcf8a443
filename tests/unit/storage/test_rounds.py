"""The log of rounds, with servers that race or die at each step."""

from __future__ import annotations

import hashlib

import pytest

from fedjob.protocol.commit import Commit
from fedjob.reasons import Reason
from fedjob.storage.errors import (
    ChecksumMismatchError,
    CorruptCommitError,
    FencedError,
    ObjectMissingError,
    RoundGapError,
    RoundTakenError,
    StoreUnreachableError,
)
from fedjob.storage.layout import Layout
from fedjob.storage.patience import Patience
from fedjob.storage.rounds import RoundLog
from support.s3_client import refusal

LAYOUT = Layout("team", "digits")


@pytest.fixture
def log(bucket):
    return RoundLog(bucket, LAYOUT, Patience(60, sleep=lambda seconds: None))


@pytest.fixture
def model(tmp_path):
    def write(number, text="model"):
        path = tmp_path / f"{number}-{text}"
        path.write_text(f"{text} {number}")
        return path

    return write


def commit_of(number, path, attempt=1):
    data = path.read_bytes()
    return Commit(
        round=number, attempt=attempt, sha256=hashlib.sha256(data).hexdigest(), size=len(data),
        started="", ended="",
    )  # fmt: skip


def test_rounds_are_read_back_with_their_models(log, model, tmp_path):
    assert (log.latest(), log.commits()) == (None, [])
    for number in range(3):
        path = model(number)
        stored = log.commit(commit_of(number, path), path)
        assert log.read(number) == stored
    assert log.commits() == [0, 1, 2]
    assert log.latest().round == 2
    assert log.fetch_model(1, tmp_path / "out").round == 1
    assert (tmp_path / "out").read_text() == "model 1"
    with pytest.raises(ObjectMissingError):
        log.read(3)


def test_round_without_its_predecessor_is_refused(log, model):
    path = model(1)
    with pytest.raises(RoundGapError, match="round 0 is not committed"):
        log.commit(commit_of(1, path), path)


def test_gap_in_the_log_is_corruption_wherever_it_is_read(log, bucket, model):
    for number in range(4):
        log.commit(commit_of(number, model(number)), model(number))
    bucket.delete(LAYOUT.commit(1))
    for read in (log.commits, log.latest):
        with pytest.raises(RoundGapError, match="the first of round 1; restore them") as caught:
            read()
    assert caught.value.reason is Reason.ROUND_LOG_CORRUPT


def test_rounds_committed_while_the_log_is_listed_are_not_a_gap(log, client, model):
    """A listing has pages: round 1 was committed after its page, and round 2 is on the next one."""
    for number in range(3):
        log.commit(commit_of(number, model(number)), model(number))
    hidden = {}

    def hide(store):
        hidden[LAYOUT.commit(1)] = store.objects.pop(LAYOUT.commit(1))

    def show(store):
        store.objects.update(hidden)

    pages = -(-len(client.objects) // 2)
    client.faults["list_objects_v2"] = [hide, *[None] * (pages - 1), show]
    assert log.commits() == [0, 1, 2]


def test_attempts_are_counted_and_older_ones_are_fenced(log, model):
    assert [log.claim_attempt("a"), log.claim_attempt("b")] == [1, 2]
    assert log.latest_attempt() == 2
    path = model(0)
    with pytest.raises(FencedError, match="attempt 2 has started"):
        log.commit(commit_of(0, path, attempt=1), path)
    assert log.commits() == []


def test_claim_whose_answer_was_lost_is_still_ours(log, client):
    def store_then_fail(store):
        store.faults["put_object"] = []

    client.faults["put_object"] = [refusal("PutObject", 503), store_then_fail]
    assert log.claim_attempt("a") == 1


def test_of_two_servers_one_commits_and_the_model_of_the_other_goes(log, client, model):
    ours, theirs = model(0, "ours"), model(0, "theirs")
    log.commit(commit_of(0, theirs), theirs)
    with pytest.raises(RoundTakenError, match="attempt 1 committed round 0"):
        log.commit(commit_of(0, ours), ours)
    models = [key for key in client.objects if key.endswith(".safetensors")]
    assert models == [log.model_key(log.read(0))]


def test_commit_again_after_a_lost_answer_is_the_same_commit(log, model):
    path = model(0)
    first = log.commit(commit_of(0, path), path)
    assert log.commit(commit_of(0, path), path) == first


def test_store_that_comes_back_is_waited_for_on_new_connections(log, client, model):
    path = model(0)
    client.faults["put_object"] = [refusal("PutObject", 503)] * 3
    log.commit(commit_of(0, path), path)
    assert log.commits() == [0]
    assert client.closed == 3


def test_store_that_stays_away_is_an_error(bucket, client):
    now = iter(range(1000))
    patience = Patience(5, clock=lambda: next(now), sleep=lambda seconds: None)
    client.faults["list_objects_v2"] = [refusal("ListObjectsV2", 503)] * 100
    with pytest.raises(StoreUnreachableError):
        RoundLog(bucket, LAYOUT, patience).commits()


@pytest.mark.parametrize("body", [b"{", b"{}"])
def test_object_that_is_not_a_commit_is_corrupt(log, bucket, body):
    bucket.put_bytes(LAYOUT.commit(0), body)
    with pytest.raises(CorruptCommitError, match="restore it, or delete"):
        log.read(0)


def test_commit_of_another_round_is_corrupt(log, bucket, model):
    commit = commit_of(7, model(7))
    bucket.put_bytes(LAYOUT.commit(0), commit.model_dump_json(by_alias=True).encode())
    with pytest.raises(CorruptCommitError, match="the commit of round 7"):
        log.read(0)


def test_model_that_is_not_the_committed_one_is_refused(log, client, model, tmp_path):
    path = model(0)
    stored = log.commit(commit_of(0, path), path)
    client.objects[log.model_key(stored)] = (b"other 0", {})
    with pytest.raises(ChecksumMismatchError):
        log.fetch_model(0, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_result_must_be_the_model_of_its_round(log, client, model):
    path, other = model(0), model(0, "other")
    log.commit(commit_of(0, path), path)
    with pytest.raises(ChecksumMismatchError, match="not the model of round 0"):
        log.publish_result(0, {"model.safetensors": other})
    published = log.publish_result(0, {"model.safetensors": path, "report.html": other})
    assert {*published} == {"model.safetensors", "report.html"}
    assert client.objects[f"{LAYOUT.model_out}report.html"][0] == other.read_bytes()


def test_commit_that_could_not_be_read_back_is_not_written(log, bucket, model):
    path = model(0)
    log.commit(commit_of(0, path), path)
    before = {info.key for info in bucket.list("")}
    wrong = commit_of(1, model(1)).model_copy(update={"size": -1})
    with pytest.raises(CorruptCommitError, match="could not be read back"):
        log.commit(wrong, model(1))
    large = commit_of(1, model(1)).model_copy(
        update={"metrics": {f"{i}" * 50: 1.0 for i in range(100_000)}}
    )
    with pytest.raises(CorruptCommitError, match="return fewer metrics"):
        log.commit(large, model(1))
    assert {info.key for info in bucket.list("")} == before

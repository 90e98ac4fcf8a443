"""Results from the store: found, checked, continued, and written in one step."""

import hashlib

import pytest

from fedjob.engines.kubernetes.transfer import results as module
from fedjob.engines.kubernetes.transfer.errors import FileChangedError, TransferStalledError
from fedjob.engines.kubernetes.transfer.results import Results, under
from fedjob.errors import InvalidInputError
from fedjob.protocol.sealing import new_private_key
from support.cluster.fake_store import StoreFault, fake_store
from support.cluster.fake_transfers import fake_transfers

MODEL = "model_out/model.safetensors"
DATA = bytes(range(256)) * 4000


@pytest.fixture
def store():
    with fake_store() as found:
        found.objects[MODEL] = DATA
        found.objects["model_out/report.html"] = b"<html>"
        yield found


@pytest.fixture
def operator(fake, store):
    fake.put("digits")
    with fake_transfers(fake, store) as found:
        yield found


@pytest.fixture
def results(jobs, operator):
    return Results(jobs, "digits", new_private_key())


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_objects_are_listed_and_small_ones_read(results):
    assert sorted(results.objects()) == [MODEL, "model_out/report.html"]
    assert results.read("model_out/report.html") == b"<html>"
    assert results.read("model_out/none") is None


def test_one_offer_serves_many_reads(results, operator):
    results.read("model_out/report.html")
    results.read("model_out/report.html")
    assert operator.offers == 1


def test_file_is_written_whole_with_progress(results, tmp_path):
    path, shown = tmp_path / "out/deep/model", []
    missing = results.fetch(
        {MODEL: path, "model_out/x": tmp_path / "x"},
        sha256={MODEL: sha256(DATA)},
        progress=lambda *both: shown.append(both),
    )
    assert missing == ["model_out/x"]
    assert path.read_bytes() == DATA
    assert shown[-1] == (len(DATA), len(DATA))
    assert [each.name for each in path.parent.iterdir()] == ["model"]


def test_file_that_is_there_is_not_fetched_again(results, store, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(DATA)
    results.fetch({MODEL: path}, sha256={MODEL: sha256(DATA)})
    assert store.asked == []


def test_broken_download_continues_with_a_range(results, store, tmp_path):
    store.faults.append(StoreFault(MODEL, after=300_000))
    results.fetch({MODEL: tmp_path / "model"}, sha256={MODEL: sha256(DATA)})
    assert (tmp_path / "model").read_bytes() == DATA
    ranges = [asked for *_, asked in store.asked]
    assert ranges[0] == ""
    assert 0 < int(ranges[1].removeprefix("bytes=").removesuffix("-")) <= 300_000


def test_download_of_a_killed_process_is_continued(jobs, operator, store, tmp_path):
    store.faults.append(StoreFault(MODEL, after=500_000))
    store.faults.append(StoreFault(MODEL, 400, b"<Code>Killed</Code>"))
    path = tmp_path / "model"
    with pytest.raises(Exception, match="Killed"):
        Results(jobs, "digits", new_private_key()).fetch({MODEL: path})
    assert not path.exists()
    (left,) = tmp_path.glob(".*.download")
    had = left.stat().st_size
    assert had > 0
    del store.asked[:]
    Results(jobs, "digits", new_private_key()).fetch({MODEL: path})
    assert path.read_bytes() == DATA
    assert store.asked == [("GET", MODEL, f"bytes={had}-")]
    assert not left.exists()


def test_wrong_bytes_of_an_earlier_process_are_thrown_away(results, store, tmp_path):
    store.faults.append(StoreFault(MODEL, after=500_000))
    store.faults.append(StoreFault(MODEL, 400, b"<Code>Killed</Code>"))
    with pytest.raises(Exception, match="Killed"):
        results.fetch({MODEL: tmp_path / "model"})
    (left,) = tmp_path.glob(".*.download")
    left.write_bytes(b"?" * 400_000)
    results.fetch({MODEL: tmp_path / "model"}, sha256={MODEL: sha256(DATA)})
    assert (tmp_path / "model").read_bytes() == DATA


def test_other_bytes_than_the_job_names_are_refused(results, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with pytest.raises(FileChangedError, match="is not the file whose SHA-256"):
        results.fetch({MODEL: path}, sha256={MODEL: sha256(b"other")})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.glob(".*")) == []


def test_digest_of_the_metadata_is_compared(results, store, tmp_path):
    store.metadata[MODEL] = {"sha256": sha256(b"other")}
    with pytest.raises(FileChangedError):
        results.fetch({MODEL: tmp_path / "model"})


def test_expired_urls_are_asked_for_again(results, store, operator, tmp_path):
    results.objects()
    store.valid = {"2"}
    results.fetch({MODEL: tmp_path / "model"})
    assert (tmp_path / "model").read_bytes() == DATA
    assert results.read("model_out/report.html") == b"<html>"
    assert operator.offers == 2


def test_offer_that_ends_soon_is_not_begun_with(results, operator):
    operator.lifetime = 30
    results.objects()
    operator.lifetime = 3600
    results.objects()
    assert operator.offers == 2


def test_object_that_was_replaced_is_fetched_as_it_is_now(results, store, tmp_path):
    results.objects()
    store.objects[MODEL] = b"new"
    results.fetch({MODEL: tmp_path / "model"}, sha256={MODEL: sha256(b"new")})
    assert (tmp_path / "model").read_bytes() == b"new"


def test_empty_object_becomes_an_empty_file(results, store, tmp_path):
    store.objects["files_out/empty"] = b""
    results.fetch({"files_out/empty": tmp_path / "empty"})
    assert (tmp_path / "empty").read_bytes() == b""


def test_refusal_of_the_operator_is_shown(results, operator):
    operator.refusal = "round 9 is not committed"
    with pytest.raises(InvalidInputError, match="round 9 is not committed"):
        results.objects()


def test_operator_that_does_not_answer_is_reported(results, operator, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.02)
    operator.deaf = True
    with pytest.raises(TransferStalledError, match="fedjob doctor"):
        results.objects()


def test_round_is_named_in_the_request(jobs, fake, operator):
    Results(jobs, "digits", new_private_key(), round_number=3).objects()
    notes = fake.jobs["team", "digits"]["metadata"]["annotations"]
    assert notes["fedjob.dev/results-want"].endswith("/round=3")


def test_no_object_is_written_outside_the_folder(tmp_path):
    paths = ["files_out/a/b.log", "../x", "/etc/x", "files_out/../../x"]
    assert under(tmp_path, paths) == {"files_out/a/b.log": tmp_path / "files_out/a/b.log"}

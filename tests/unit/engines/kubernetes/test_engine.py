"""Submitting a job to a cluster: created, updated, resumed, with its files."""

from dataclasses import replace

import pytest

from fedjob.engines.base import Engine
from fedjob.engines.kubernetes.engine import KubernetesEngine
from fedjob.engines.kubernetes.errors import JobRefusedError
from fedjob.errors import UnavailableError
from fedjob.preparation.submission import Submission
from fedjob.spec import FederatedJob
from support.cluster.fake_store import StoreFault, fake_store
from support.cluster.fake_transfers import fake_transfers

MANIFEST = {
    "apiVersion": "fedjob.dev/v1alpha1", "kind": "FederatedJob", "metadata": {"name": "digits"},
    "spec": {"model": {"className": "Net", "source": {"inline": "class Net: ..."}}},
}  # fmt: skip


class Observer:
    def __init__(self):
        self.notes, self.moves = [], []

    def note(self, message, *, warning=False):
        self.notes.append(message)

    def uploaded(self, done, total):
        self.moves.append((done, total))


@pytest.fixture
def store(fake):
    with fake_store() as found, fake_transfers(fake, found):
        yield found


@pytest.fixture
def observer():
    return Observer()


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    for index in range(3):
        (folder / f"s{index}.zip").write_bytes(bytes([65 + index]) * 100)
    return folder


def submission(folder=None, **spec):
    manifest = {**MANIFEST, "spec": {**MANIFEST["spec"], **spec}}
    files = {}
    if folder is not None:
        import hashlib

        paths = sorted(folder.iterdir())
        manifest["spec"]["shards"] = {"upload": {"files": [
            {"name": p.name, "size": p.stat().st_size,
             "sha256": hashlib.sha256(p.read_bytes()).hexdigest()} for p in paths
        ]}}  # fmt: skip
        files = {f"shards/{path.name}": path for path in paths}
    return Submission(FederatedJob.model_validate(manifest), manifest, None, files)


def engine_of(jobs, found, observer, tmp_path):
    return KubernetesEngine(found, jobs, observer, keys=tmp_path / "keys")


def test_job_without_files_is_created_and_then_unchanged(fake, jobs, observer, tmp_path):
    engine: Engine = engine_of(jobs, submission(), observer, tmp_path)
    assert engine.submit().name == "digits"
    assert fake.jobs["team", "digits"]["spec"] == MANIFEST["spec"]
    engine.submit()
    engine_of(jobs, submission(training={"localEpochs": 2}), observer, tmp_path).submit()
    assert observer.notes == [
        "team/digits created", "team/digits unchanged", "team/digits updated",
    ]  # fmt: skip


def test_shards_travel_and_a_second_submit_sends_nothing(
    fake, jobs, store, observer, shards, tmp_path
):
    found = submission(shards)
    engine_of(jobs, found, observer, tmp_path).submit()
    assert len(store.objects) == 3
    assert observer.moves[-1] == (300, 300)
    del store.asked[:]
    engine_of(jobs, found, observer, tmp_path).submit()
    assert store.asked == []


def test_submit_after_a_kill_in_the_middle_sends_the_rest(jobs, store, observer, shards, tmp_path):
    store.faults.append(StoreFault("shards/s1.zip.0", 400, b"<Code>Killed</Code>"))
    found = submission(shards)
    engine = KubernetesEngine(found, jobs, observer, keys=tmp_path / "keys", parallel=1)
    with pytest.raises(Exception, match="Killed"):
        engine.submit()
    sent = set(store.objects)
    assert 0 < len(sent) < 3
    del store.asked[:]
    engine_of(jobs, found, observer, tmp_path).submit()
    assert len(store.objects) == 3
    assert not {path for _, path, _ in store.asked} & sent


def test_changed_shard_is_sent_again(fake, jobs, store, observer, shards, tmp_path):
    engine_of(jobs, submission(shards), observer, tmp_path).submit()
    (shards / "s0.zip").write_bytes(b"other")
    del store.objects["shards/s0.zip.0"]
    engine_of(jobs, submission(shards), observer, tmp_path).submit()
    assert store.objects["shards/s0.zip.0"] == b"other"


def test_submit_resumes_a_suspended_job(fake, jobs, observer, tmp_path):
    engine = engine_of(jobs, submission(), observer, tmp_path)
    engine.submit().suspend()
    engine.submit()
    assert not jobs.get("digits").suspended
    assert observer.notes[-1] == "team/digits resumed"


def test_submission_that_is_suspended_itself_stays_so(jobs, observer, tmp_path):
    found = submission(runPolicy={"suspend": True})
    engine_of(jobs, found, observer, tmp_path).submit()
    engine_of(jobs, found, observer, tmp_path).submit()
    assert jobs.get("digits").suspended


def test_files_of_a_suspended_submission_are_not_sent(jobs, store, observer, shards, tmp_path):
    found = submission(shards)
    found.manifest["spec"]["runPolicy"] = {"suspend": True}
    engine_of(jobs, found, observer, tmp_path).submit()
    assert store.asked == []
    assert "is suspended: its files are not sent" in observer.notes[-1]


def test_job_that_is_complete_says_so(fake, jobs, observer, tmp_path):
    engine = engine_of(jobs, submission(), observer, tmp_path)
    engine.submit()
    fake.put("digits", status={"state": "Complete", "observedGeneration": 1})
    assert engine.run().state == "Complete"
    assert observer.notes[-1] == "team/digits is Complete already"


def test_job_that_is_being_deleted_is_not_touched(fake, jobs, observer, tmp_path):
    fake.put("digits", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    with pytest.raises(UnavailableError, match="is being deleted"):
        engine_of(jobs, submission(), observer, tmp_path).submit()


def test_refusal_of_the_api_server_sends_no_file(fake, jobs, store, observer, shards, tmp_path):
    fake.plan(422, "spec.model is immutable", method="PATCH")
    with pytest.raises(JobRefusedError, match="immutable"):
        engine_of(jobs, submission(shards), observer, tmp_path).submit()
    assert store.asked == []


def test_files_of_the_model_travel_with_the_job(jobs, store, observer, tmp_path):
    path = tmp_path / "first.pt"
    path.write_bytes(b"weights")
    announced = {"sha256": "0" * 64, "size": 7}
    upload = {
        "checkpoint": {"suffix": ".pt", **announced},
        "files": [{"path": "a.bin", "sha256": "0" * 64, "size": 3}],
    }
    found = submission(model={**MANIFEST["spec"]["model"], "upload": upload})
    found = replace(found, files={"model/checkpoint.pt": path, "model/files/a.bin": b"abc"})
    engine_of(jobs, found, observer, tmp_path).submit()
    assert store.objects["model/checkpoint.pt.0"] == b"weights"
    assert store.objects["model/files/a.bin.0"] == b"abc"
    moved = len(observer.moves)
    engine_of(jobs, found, observer, tmp_path).submit()
    assert len(observer.moves) == moved, "a second submit sends nothing"

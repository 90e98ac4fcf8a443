"""An upload through offers of the operator, in the face of what goes wrong on the way."""

import hashlib
import threading

import pytest
from pydantic import ValidationError

from fedjob.engines.kubernetes.jobs import JobsApi
from fedjob.engines.kubernetes.transfer import upload
from fedjob.engines.kubernetes.transfer.errors import FileChangedError, TransferStalledError
from fedjob.engines.kubernetes.transfer.upload import UploadSession, request_annotations
from fedjob.engines.kubernetes.transfer.upload_sources import LocalFile
from fedjob.protocol.sealing import new_private_key
from support.cluster.fake_store import StoreFault, fake_store
from support.cluster.fake_transfers import fake_transfers
from support.cluster.operator_transfers import OperatorTransfers

KEY = new_private_key()


@pytest.fixture
def store():
    with fake_store() as found:
        yield found


@pytest.fixture
def operator(fake, store):
    with fake_transfers(fake, store) as found:
        yield found


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    for index in range(4):
        (folder / f"s{index}.zip").write_bytes(bytes([index]) * (1000 + index))
    return folder


def files_of(folder):
    return {f"shards/{path.name}": LocalFile.at(path) for path in sorted(folder.iterdir())}


def submit(fake, folder, key=KEY):
    uploads = [
        {"name": p.name, "size": p.stat().st_size,
         "sha256": hashlib.sha256(p.read_bytes()).hexdigest()}
        for p in sorted(folder.iterdir())
    ]  # fmt: skip
    fake.put(
        "digits",
        spec={"shards": {"upload": {"files": uploads}}},
        metadata={"annotations": request_annotations(key)},
    )


def session(jobs, folder, key=KEY, **more):
    return UploadSession(jobs, "digits", files_of(folder), key, **more)


def test_every_file_arrives_and_progress_ends_at_the_total(fake, jobs, store, operator, shards):
    submit(fake, shards)
    shown = []
    job = session(jobs, shards, progress=lambda *both: shown.append(both)).run()
    assert job.status.state == "Building"
    for path in shards.iterdir():
        assert store.objects[f"shards/{path.name}.0"] == path.read_bytes()
    assert shown[-1] == (4006, 4006)
    assert max(done for done, _ in shown) == 4006


def test_requests_run_in_parallel_up_to_the_limit(fake, jobs, store, operator, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(60):
        (folder / f"s{index}.zip").write_bytes(b"x" * 200_000)
    submit(fake, folder)
    session(jobs, folder, parallel=4).run()
    assert 1 < store.most <= 4


def test_large_file_travels_in_parts(fake, jobs, store, operator, tmp_path, monkeypatch):
    monkeypatch.setattr("fedjob.protocol.transfer.WHOLE", 1024 * 1024)
    folder = tmp_path / "large"
    folder.mkdir()
    data = bytes(range(256)) * 10_000
    (folder / "a.zip").write_bytes(data)
    submit(fake, folder)
    session(jobs, folder).run()
    parts = sorted((path for path in store.objects), key=lambda path: int(path.split(".")[-1]))
    assert [path.split(".")[-1] for path in parts] == ["1", "2", "3"]
    assert b"".join(store.objects[path] for path in parts) == data


def test_more_than_one_offer_holds_comes_with_the_next(fake, jobs, store, operator, shards):
    operator.most = 2
    submit(fake, shards)
    session(jobs, shards).run()
    assert operator.offers == 2
    assert len(store.objects) == 4


def test_only_what_is_missing_is_sent_after_a_kill(fake, jobs, store, operator, shards):
    submit(fake, shards)
    store.faults.append(StoreFault("shards/s3.zip.0", 400, b"<Code>Killed</Code>"))
    with pytest.raises(Exception, match="Killed"):
        session(jobs, shards, parallel=1).run()
    sent = len(store.objects)
    assert 0 < sent < 4
    del store.asked[:]
    after = jobs.get("digits").status.transfer.upload.sequence
    jobs.patch("digits", {"metadata": {"annotations": request_annotations(KEY)}})
    session(jobs, shards, after=after).run()
    assert len(store.asked) == 4 - sent


def test_expired_urls_are_replaced(fake, jobs, store, operator, shards, monkeypatch):
    monkeypatch.setattr(upload, "ASK_SECONDS", 0.05)
    submit(fake, shards)
    wait_for_offer(fake)
    store.valid = {"2"}
    job = session(jobs, shards).run()
    assert job.status.state == "Building"
    assert operator.offers >= 2


def test_offer_that_has_expired_is_not_tried(fake, jobs, store, operator, shards, monkeypatch):
    monkeypatch.setattr(upload, "ASK_SECONDS", 0.05)
    operator.lifetime = -1
    submit(fake, shards)
    wait_for_offer(fake)
    operator.lifetime = 3600
    store.valid = {"2"}
    session(jobs, shards).run()
    assert len(store.objects) == 4
    assert store.refused == 0


def test_offer_for_another_key_is_replaced_by_ours(fake, jobs, store, operator, shards):
    submit(fake, shards, key=new_private_key())
    wait_for_offer(fake)
    jobs.patch("digits", {"metadata": {"annotations": request_annotations(KEY)}})
    session(jobs, shards).run()
    assert len(store.objects) == 4


def test_part_corrupted_in_transit_is_sent_again(fake, jobs, store, operator, shards):
    store.faults.append(StoreFault("shards/s1.zip.0", flip=True))
    submit(fake, shards)
    session(jobs, shards).run()
    assert store.objects["shards/s1.zip.0"] == (shards / "s1.zip").read_bytes()


def test_operator_that_makes_no_offer_is_reported(fake, jobs, shards, monkeypatch):
    monkeypatch.setattr(upload, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(upload, "STALLED_SECONDS", 0.03)
    submit(fake, shards)
    with pytest.raises(TransferStalledError, match="fedjob doctor"):
        session(jobs, shards).run()


def test_file_that_changes_meanwhile_is_reported(fake, jobs, store, operator, shards):
    submit(fake, shards)
    running = session(jobs, shards)
    (shards / "s2.zip").write_bytes(b"other")
    with pytest.raises(FileChangedError, match=r"s2\.zip changed"):
        running.run()


def test_deletion_of_the_job_ends_the_upload(fake, jobs, shards):
    submit(fake, shards)
    threading.Timer(0.05, fake.remove, ("digits",)).start()
    with pytest.raises(TransferStalledError, match="was deleted"):
        session(jobs, shards).run()


def test_suspension_of_the_job_ends_the_upload(fake, jobs, shards):
    submit(fake, shards)
    spec = {**fake.jobs["team", "digits"]["spec"], "runPolicy": {"suspend": True}}
    threading.Timer(0.05, fake.put, ("digits",), {"spec": spec}).start()
    with pytest.raises(TransferStalledError, match="fedjob resume digits"):
        session(jobs, shards).run()


def test_failed_job_ends_the_upload(fake, jobs, shards):
    submit(fake, shards)
    fake.put("digits", status={"state": "Failed", "message": "too large", "observedGeneration": 1})
    assert session(jobs, shards).run().status.message == "too large"


def test_status_of_an_earlier_spec_does_not_end_the_upload(fake, jobs, store, operator, shards):
    operator.deaf = True
    fake.put("digits", status={"state": "Complete", "observedGeneration": 1})
    submit(fake, shards)
    threading.Timer(0.05, setattr, (operator, "deaf", False)).start()
    session(jobs, shards).run()
    assert len(store.objects) == 4


def test_api_server_that_restarts_meanwhile_does_no_harm(fake, tmp_path, store, operator, shards):
    from fedjob.engines.kubernetes.access import ApiServer, Target

    operator.deaf = True
    submit(fake, shards)
    api = ApiServer(Target(kubeconfig=fake.kubeconfig(tmp_path)))
    jobs = JobsApi(api, sleep=lambda _: None)

    def restart():
        while not fake.watching:
            threading.Event().wait(0.001)
        port = fake.port
        fake.stop()
        fake.start(port)
        operator.deaf = False

    thread = threading.Thread(target=restart)
    thread.start()
    session(jobs, shards).run()
    thread.join()
    assert len(store.objects) == 4


def wait_for_offer(fake):
    while not (fake.jobs["team", "digits"].get("status") or {}).get("transfer"):
        threading.Event().wait(0.001)


def test_error_of_the_operator_that_tests_use_ends_an_upload_at_once(fake, jobs, shards):
    submit(fake, shards)
    operator = OperatorTransfers(fake, None)
    ended = UploadSession(jobs, "digits", files_of(shards), KEY).run()
    assert ended.status.state == "Failed"
    with pytest.raises(ValidationError, match=r"spec\.model"):
        operator.stop()

"""The client of a cluster, against an API server and a store of this process."""

import pytest

import fedjob
from fedjob.client.cluster import Client, built_job
from support.cluster.fake_api_server import fake_api_server
from support.cluster.fake_store import fake_store
from support.cluster.fake_transfers import fake_transfers


@pytest.fixture
def store():
    with fake_store() as found:
        yield found


@pytest.fixture
def fake(monkeypatch, tmp_path, store):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with fake_api_server() as server, fake_transfers(server, store):
        yield server


@pytest.fixture
def client(fake, tmp_path):
    folder = tmp_path / "kube"
    folder.mkdir()
    return Client(kubeconfig=fake.kubeconfig(folder), progress=False)


def test_submission_sends_the_job_and_its_shards(fake, client, job, shards):
    """Row 1."""
    run = client.submit(job, shards=shards)
    assert (run.name, run.namespace) == ("digits", "team"), "the namespace of the context"
    spec = fake.jobs["team", "digits"]["spec"]
    assert spec["model"]["source"]["inline"] == job.spec.model.source.inline
    names = [item["name"] for item in spec["shards"]["upload"]["files"]]
    assert names == ["site-a.zip", "site-b.zip"]
    assert run.status().total == 5


def test_jobs_are_found_by_name_and_listed(client, job, shards):
    client.submit(job, shards=shards)
    assert [run.name for run in client.list()] == ["digits"]
    assert [run.namespace for run in client.list(all_namespaces=True)] == ["team"]
    assert client.get("digits").status().name == "digits"
    with pytest.raises(fedjob.InvalidJobError, match="other: no such job in namespace team"):
        client.get("other")


def test_namespace_of_the_client_is_stronger_than_the_jobs(fake, job, model, shards, tmp_path):
    folder = tmp_path / "kube"
    folder.mkdir()
    kubeconfig = fake.kubeconfig(folder)
    theirs = fedjob.from_model(
        model, name="digits", namespace="theirs", training={"num_classes": 2}
    )
    mine = Client(namespace="mine", kubeconfig=kubeconfig, progress=False)
    assert Client(kubeconfig=kubeconfig)._namespace_of(theirs) == "theirs"
    assert mine._namespace_of(theirs) == "mine"
    assert mine._namespace_of(job) == "mine"


def test_inspected_folder_is_submitted_with_its_changed_code(fake, client, job, shards, tmp_path):
    """Row 35."""
    folder = job.build(tmp_path / "job", shards=shards)
    model_def = folder / "app" / "custom" / "model_def.py"
    model_def.write_text(model_def.read_text() + "\nEDITED = True\n")
    run = client.upload(folder, shards=shards)
    assert run.name == "digits"
    source = fake.jobs["team", "digits"]["spec"]["model"]["source"]["inline"]
    assert source.endswith("EDITED = True\n")


def test_changed_configuration_of_a_folder_is_refused(job, shards, tmp_path):
    folder = job.build(tmp_path / "job", shards=shards)
    (folder / "meta.json").write_text("{}")
    with pytest.raises(fedjob.InvalidJobError, match=r"meta\.json: was changed by hand"):
        built_job(folder, shards)
    (folder / "job.yaml").unlink()
    with pytest.raises(fedjob.InvalidJobError, match=r"has no job\.yaml; make the folder with"):
        built_job(folder, shards)
    with pytest.raises(fedjob.InvalidJobError, match="is not a job folder"):
        built_job(tmp_path / "nowhere", shards)


def test_binary_files_and_checkpoints_are_sent_with_the_job(
    fake, store, client, model, shards, tmp_path
):
    """Row 40."""
    (tmp_path / "first.pt").write_bytes(b"weights")
    job = fedjob.from_model(
        model, name="digits", training={"num_classes": 2}, files={"a.bin": b"\xff"},
        checkpoint=tmp_path / "first.pt",
    )  # fmt: skip
    client.submit(job, shards=shards)
    upload = fake.jobs["team", "digits"]["spec"]["model"]["upload"]
    assert [each["path"] for each in upload["files"]] == ["a.bin"]
    assert store.objects["model/files/a.bin.0"] == b"\xff"
    assert store.objects["model/checkpoint.pt.0"] == b"weights"


def test_submission_is_checked_before_anything_is_sent(fake, client, model):
    with pytest.raises(fedjob.InvalidJobError, match=r"shards: .* is not a folder"):
        client.submit(fedjob.from_model(model, training={"num_classes": 2}), shards="/nowhere")
    assert fake.jobs == {}

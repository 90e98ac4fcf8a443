"""`fedjob upload`: where it sends to, what it sends, and what it prints of it."""

import json

import pytest

from fedjob.errors import InvalidInputError
from fedjob.storage import bucket as storage
from support.s3_client import MemoryClient


@pytest.fixture
def client(monkeypatch):
    client = MemoryClient()

    def connect(location, *_, **__):
        client.location = location
        return client

    monkeypatch.setattr(storage, "connect", connect)
    return client


@pytest.fixture
def built(file, fedjob, tmp_path):
    assert fedjob("build", file, "--out", tmp_path / "built").exit_code == 0
    return tmp_path / "built"


def test_folder_and_shards_go_to_the_jobs_prefix(built, fedjob, client, tmp_path):
    shards = ("--shards", tmp_path / "shards")
    result = fedjob("upload", built, "--bucket", "jobs", "--prefix", "team/", *shards, "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    keys = {file["key"].removeprefix("team/jobs/default/digits/") for file in answer["files"]}
    assert {"scripts/model_def.py", "shards/a.zip", "shards/b.zip", "configs/meta.json"} <= keys
    assert {file["outcome"] for file in answer["files"]} == {"uploaded"}
    assert answer["uri"].startswith("s3://jobs/team/jobs/default/digits")


def test_what_is_there_already_is_skipped(built, fedjob, client):
    first = fedjob("upload", built, "--bucket", "jobs")
    second = fedjob("upload", built, "--bucket", "jobs")
    assert {line.split()[0] for line in first.stdout.splitlines()[:-1]} == {"uploaded"}
    assert {line.split()[0] for line in second.stdout.splitlines()[:-1]} == {"skipped"}
    assert first.stdout.splitlines()[-1] == second.stdout.splitlines()[-1]
    assert not [line for line in first.stdout.splitlines() if "shards/" in line]


def test_options_come_before_the_jobs_own_storage(file, fedjob, client, tmp_path):
    job = json.loads(file.read_text())
    job["spec"]["storage"] = {
        "bucket": "of-job",
        "prefix": "p/",
        "region": "eu-west-1",
    }
    file.write_text(json.dumps(job))
    fedjob("build", file, "--out", tmp_path / "built")
    fedjob("upload", tmp_path / "built", "--endpoint", "http://store:9000", "--bucket", "given")
    assert client.location.model_dump() == {
        "endpoint": "http://store:9000",
        "region": "eu-west-1",
        "bucket": "given",
        "prefix": "p/",
    }


def test_bucket_must_be_named(built, fedjob, client):
    result = fedjob("upload", built, "--json")
    assert json.loads(result.stdout)["faults"][0]["field"] == "spec.storage.bucket"
    assert "--bucket" in str(result.exception)


def test_folder_that_is_no_job_folder_is_refused_before_the_store_is_used(fedjob, client, tmp_path):
    result = fedjob("upload", tmp_path, "--bucket", "jobs")
    assert isinstance(result.exception, InvalidInputError)
    assert "fedjob build" in str(result.exception)
    assert not hasattr(client, "location")


def test_faulty_shard_is_refused_before_anything_is_sent(built, fedjob, client, tmp_path):
    (tmp_path / "shards/a.zip").write_bytes(b"no zip")
    result = fedjob("upload", built, "--bucket", "jobs", "--shards", tmp_path / "shards")
    assert isinstance(result.exception, InvalidInputError)
    assert "a.zip" in str(result.exception)
    assert not hasattr(client, "location")

"""The configurations that the processes read."""

from __future__ import annotations

import json

from fedjob.protocol.config import ServerConfig, WorkerConfig
from fedjob_operator.resources.configmaps import config_map
from support.operator.samples import (
    STORE,
    a_job,
    prepared_of,
)


def test_configurations_are_what_the_processes_read() -> None:
    job = a_job(training={"manifestFile": "lines.ndjson"})
    prepared = prepared_of(job).model_copy(update={"validation": "v.zip", "checkpoint": "c.pt"})
    data = config_map(job, prepared, STORE, gpus=True)["data"]
    assert set(data) == {"server.json", "worker-0.json", "worker-1.json"}
    server = ServerConfig.model_validate_json(data["server.json"])
    assert server.spec == job.spec
    assert (server.http_host, server.http_port) == ("0.0.0.0", 8080)  # noqa: S104
    assert (server.validation_shard, server.checkpoint) == ("v.zip", "c.pt")
    assert [worker.shard for worker in server.workers] == ["s0.zip", "s1.zip"]
    worker = WorkerConfig.model_validate_json(data["worker-1.json"])
    assert (worker.shard, worker.manifest_file) == ("s1.zip", "lines.ndjson")
    assert worker.device == "auto"
    cpu = json.loads(config_map(job, prepared, STORE, gpus=False)["data"]["worker-0.json"])
    assert cpu["device"] == "cpu"
    assert "s1.zip" not in data["worker-0.json"]


def test_fields_that_are_not_set_and_uploads_are_left_out() -> None:
    """The runtime of a job that runs may be older than the operator, and refuses other fields."""
    files = [{"name": "s0.zip", "sha256": "0" * 64, "size": 1}]
    job = a_job(shards={"upload": {"files": files}, "validation": "s0.zip"})
    data = config_map(job, prepared_of(job), STORE, gpus=True)["data"]
    assert "null" not in "".join(data.values())
    assert json.loads(data["server.json"])["spec"]["shards"] == {"validation": "s0.zip"}

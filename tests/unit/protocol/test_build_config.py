"""Configurations of server and workers, built from a job."""

from __future__ import annotations

from fedjob.protocol.build_config import SitePaths, build_server_config, build_worker_config
from fedjob.protocol.config import StoreLocation
from fedjob.spec.models.job import FederatedJob

PATHS = SitePaths(job_folder="/job", kit="/kit", home="/home")
JOB = FederatedJob.model_validate(
    {
        "metadata": {"name": "digits", "namespace": "team"},
        "spec": {
            "model": {"source": {"inline": "class Net: ..."}, "className": "Net"},
            "training": {"manifestFile": "rows.ndjson"},
        },
    }
)


def test_server_config_keeps_the_order_of_the_workers() -> None:
    config = build_server_config(
        JOB,
        PATHS,
        admin_kit="/admin",
        num_classes=3,
        shards={"worker-1": "b.zip", "worker-0": "a.zip"},
        store=StoreLocation(bucket="jobs"),
        http_port=0,
        checkpoint="k",
    )
    assert [(w.name, w.shard) for w in config.workers] == [
        ("worker-1", "b.zip"),
        ("worker-0", "a.zip"),
    ]
    assert (config.namespace, config.name, config.spec) == ("team", "digits", JOB.spec)
    assert (config.job_folder, config.kit, config.admin_kit, config.home) == (
        "/job", "/kit", "/admin", "/home",
    )  # fmt: skip
    assert (config.http_host, config.checkpoint, config.validation_shard) == (
        "127.0.0.1", "k", None,
    )  # fmt: skip


def test_worker_config_takes_the_manifest_from_the_job() -> None:
    config = build_worker_config(
        JOB, "worker-0", PATHS, shard="a.zip", shard_url_file="/url", device="cpu", sha256="0" * 64
    )
    assert (config.worker, config.shard, config.manifest_file) == (
        "worker-0", "a.zip", "rows.ndjson",
    )  # fmt: skip
    assert (config.device, config.sha256, config.shard_url_file) == ("cpu", "0" * 64, "/url")

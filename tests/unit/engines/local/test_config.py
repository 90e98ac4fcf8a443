"""The files for server and workers."""

import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from fedjob.engines.local.config import server_config, worker_configs, write_config
from fedjob.engines.local.run_folder import RunFolder
from fedjob.protocol.config import ServerConfig, StoreLocation
from fedjob.spec import FederatedJob

FOLDER = RunFolder(Path("/my out"))
STORE = StoreLocation(endpoint="http://127.0.0.1:8333", bucket="fedjob")


def prepared(gpu=0, **files):
    job = FederatedJob.model_validate(
        {
            "apiVersion": "fedjob.dev/v1alpha1",
            "kind": "FederatedJob",
            "metadata": {"name": "digits", "namespace": "team"},
            "spec": {
                "model": {"source": {"inline": "x = 1"}, "className": "Net"},
                "training": {"manifestFile": "lines.ndjson"},
                "workers": {"gpu": gpu},
            },
        }
    )
    shards = {f"worker-{i}": SimpleNamespace(name=f"{i}.zip") for i in range(2)}
    nothing = {"checkpoint": None, "validation": None}
    return SimpleNamespace(job=job, num_classes=3, workers=shards, **(nothing | files))


def test_server_and_workers_agree():
    server = server_config(prepared(), FOLDER, STORE, 20_000)
    workers = worker_configs(prepared(), FOLDER)
    assert [(each.name, each.shard) for each in server.workers] == [
        (name, config.shard) for name, config in workers.items()
    ]
    assert {server.job_folder} == {config.job_folder for config in workers.values()}
    assert (server.http_host, server.http_port) == ("127.0.0.1", 20_000)
    homes = [server.home, *(config.home for config in workers.values())]
    assert len({*homes}) == 3, "each writes to a folder of its own"


def test_optional_inputs_are_named_by_their_keys():
    server = server_config(prepared(), FOLDER, STORE, 1)
    assert (server.checkpoint, server.validation_shard) == (None, None)
    given = prepared(checkpoint=Path("/x/first.pt"), validation=SimpleNamespace(name="val.zip"))
    server = server_config(given, FOLDER, STORE, 1)
    assert server.checkpoint == "jobs/team/digits/model/checkpoint.pt"
    assert server.validation_shard == "jobs/team/digits/shards/val.zip"


@pytest.mark.parametrize(("gpu", "device"), [(0, "cpu"), (1, "auto")])
def test_workers_without_gpus_use_the_cpu(gpu, device):
    for config in worker_configs(prepared(gpu=gpu), FOLDER).values():
        assert (config.device, config.manifest_file) == (device, "lines.ndjson")


def test_file_is_readable_by_its_owner_only_and_read_back_as_it_was(tmp_path):
    config = server_config(prepared(), RunFolder(tmp_path / "ünï"), STORE, 1)
    path = write_config(tmp_path / "configs" / "server.json", config)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ServerConfig.model_validate_json(path.read_bytes()) == config

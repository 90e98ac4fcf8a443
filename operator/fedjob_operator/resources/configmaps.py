"""ConfigMaps: the configurations of server and workers, and the operator's record of the job."""

from __future__ import annotations

from fedjob.protocol.build_config import SitePaths, build_server_config, build_worker_config
from fedjob.protocol.config import ServerConfig, StoreLocation, WorkerConfig
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import (
    Body,
    config_name,
    metadata_of,
    record_name,
    sealed,
    worker_names,
)
from fedjob_operator.resources.pod_contract import (
    ADMIN_KIT,
    HOME,
    HTTP_PORT,
    JOB_FOLDER,
    KIT,
    SERVER_FILE,
    URL,
    URL_FILE,
    worker_file,
)
from fedjob_operator.state.record import KEY, Prepared, Record, ShardPlace


def server_config(job: FederatedJob, prepared: Prepared, store: StoreLocation) -> ServerConfig:
    """The server's configuration."""
    names = worker_names(len(prepared.workers))
    # The list of uploads was for the operator; the server's shards are in `workers`.
    shards = job.spec.shards.model_copy(update={"upload": None})
    spec = job.spec.model_copy(update={"shards": shards})
    return build_server_config(
        job.model_copy(update={"spec": spec}),
        _paths("server"),
        admin_kit=ADMIN_KIT,
        num_classes=prepared.num_classes,
        shards={name: shard.name for name, shard in zip(names, prepared.workers, strict=True)},
        store=store,
        http_host="0.0.0.0",  # noqa: S104 (the operator connects from outside the pod)
        http_port=HTTP_PORT,
        checkpoint=prepared.checkpoint,
        validation_shard=prepared.validation,
    )


def worker_config(job: FederatedJob, worker: str, shard: ShardPlace, *, gpus: bool) -> WorkerConfig:
    """A worker's configuration: its own shard and nothing of other workers."""
    return build_worker_config(
        job,
        worker,
        _paths(worker),
        shard=shard.name,
        sha256=shard.sha256,
        shard_url_file=f"{URL}/{URL_FILE}",
        kept_forms=URL,
        device="auto" if gpus else "cpu",
    )


def _paths(name: str) -> SitePaths:
    return SitePaths(job_folder=JOB_FOLDER, kit=KIT, home=f"{HOME}/{name}")


def config_map(job: FederatedJob, prepared: Prepared, store: StoreLocation, *, gpus: bool) -> Body:
    """All configurations of the job; each pod mounts only its own file."""
    # Fields that are not set are left out: the runtime of a job that runs may not know new ones.
    server = server_config(job, prepared, store)
    data = {SERVER_FILE: server.model_dump_json(by_alias=True, exclude_none=True)}
    names = worker_names(len(prepared.workers))
    for name, shard in zip(names, prepared.workers, strict=True):
        config = worker_config(job, name, shard, gpus=gpus)
        data[worker_file(name)] = config.model_dump_json(by_alias=True, exclude_none=True)
    return _config_map(metadata_of(job, config_name(job.metadata.name)), data)


def record_map(job: FederatedJob, record: Record) -> Body:
    """The record of the job."""
    text = record.model_dump_json(by_alias=True, exclude_defaults=True)
    return _config_map(metadata_of(job, record_name(job.metadata.name)), {KEY: text})


def _config_map(meta: Body, data: dict[str, str]) -> Body:
    return sealed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})

"""Builds server and worker configurations from a job, for the local engine and the operator.

What follows from the job is decided here; an engine gives only paths, the store and ports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fedjob.protocol.config import KeptFiles, ServerConfig, StoreLocation, WorkerConfig, WorkerShard
from fedjob.spec.models.job import FederatedJob


@dataclass(frozen=True, slots=True)
class SitePaths:
    """Absolute paths of one site, server or worker.

    Attributes:
        job_folder: The generated job folder.
        kit: The site's startup kit.
        home: The only folder that the site writes to.
    """

    job_folder: str
    kit: str
    home: str


def build_server_config(
    job: FederatedJob,
    paths: SitePaths,
    *,
    admin_kit: str,
    num_classes: int,
    shards: Mapping[str, str],
    store: StoreLocation,
    http_port: int,
    http_host: str = "127.0.0.1",
    checkpoint: str | None = None,
    validation_shard: str | None = None,
) -> ServerConfig:
    """The configuration of `fedjob-server`.

    Args:
        job: The job.
        paths: The server's paths.
        admin_kit: Path of the admin session's startup kit.
        num_classes: As given in the spec, or counted over all shards.
        shards: The shard's file name by worker, in the order of the workers.
        store: The store, as the server reaches it.
        http_port: Port of `/status` and `/metrics`.
        http_host: Address that the server listens on.
        checkpoint: Object key of the initial weights, if any.
        validation_shard: Object key of the validation ZIP, if any.
    """
    return ServerConfig(
        namespace=job.metadata.namespace,
        name=job.metadata.name,
        spec=job.spec,
        num_classes=num_classes,
        workers=[WorkerShard(name=name, shard=shard) for name, shard in shards.items()],
        store=store,
        job_folder=paths.job_folder,
        kit=paths.kit,
        admin_kit=admin_kit,
        home=paths.home,
        http_host=http_host,
        http_port=http_port,
        checkpoint=checkpoint,
        validation_shard=validation_shard,
    )


def build_worker_config(
    job: FederatedJob,
    worker: str,
    paths: SitePaths,
    *,
    shard: str,
    shard_url_file: str,
    device: Literal["auto", "cpu", "cuda"],
    sha256: str | None = None,
    kept_folder: str | None = None,
    kept_forms: str | None = None,
) -> WorkerConfig:
    """The configuration of `fedjob-worker`: its own shard and nothing of other workers.

    Args:
        job: The job.
        worker: The worker's name.
        paths: The worker's paths.
        shard: The file name of its shard.
        shard_url_file: The file that contains the shard's presigned URL.
        device: The device to train on; `auto` prefers a GPU.
        sha256: The shard's expected checksum, if the job gives one.
        kept_folder: Where files of the training function are kept, on one machine.
        kept_forms: The folder of forms by which they are kept, in a pod.
    """
    keep = job.spec.workers.keep_files
    return WorkerConfig(
        namespace=job.metadata.namespace,
        name=job.metadata.name,
        worker=worker,
        shard=shard,
        sha256=sha256,
        shard_url_file=shard_url_file,
        manifest_file=job.spec.training.manifest_file,
        job_folder=paths.job_folder,
        kit=paths.kit,
        home=paths.home,
        device=device,
        keep_files=KeptFiles(max_bytes=keep.max_bytes, folder=kept_folder, forms=kept_forms)
        if keep is not None
        else None,
    )

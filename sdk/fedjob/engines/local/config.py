"""The files given to the processes of a local run; pure but for writing them."""

from __future__ import annotations

from pathlib import Path

from fedjob.atomic_files import write_text
from fedjob.engines.local.run_folder import RunFolder
from fedjob.preparation.prepared import PreparedRun
from fedjob.protocol.config import ServerConfig, StoreLocation, WorkerConfig, WorkerShard
from fedjob.storage.job_upload import checkpoint_key
from fedjob.storage.layout import Layout


def server_config(
    prepared: PreparedRun, folder: RunFolder, store: StoreLocation, http_port: int
) -> ServerConfig:
    """What the server is given."""
    meta = prepared.job.metadata
    layout = Layout(meta.namespace, meta.name, store.prefix)
    checkpoint, validation = prepared.checkpoint, prepared.validation
    return ServerConfig(
        namespace=meta.namespace,
        name=meta.name,
        spec=prepared.job.spec,
        num_classes=prepared.num_classes,
        workers=[
            WorkerShard(name=name, shard=shard.name) for name, shard in prepared.workers.items()
        ],
        store=store,
        job_folder=str(folder.job),
        kit=str(folder.kits / "server"),
        admin_kit=str(folder.kits / "admin"),
        home=str(folder.home("server")),
        http_port=http_port,
        checkpoint=None if checkpoint is None else checkpoint_key(layout, checkpoint),
        validation_shard=None if validation is None else layout.shard(validation.name),
    )


def worker_configs(prepared: PreparedRun, folder: RunFolder) -> dict[str, WorkerConfig]:
    """What each worker is given, by its name."""
    meta, spec = prepared.job.metadata, prepared.job.spec
    return {
        name: WorkerConfig(
            namespace=meta.namespace,
            name=meta.name,
            worker=name,
            shard=shard.name,
            shard_url_file=str(folder.url_file(name)),
            manifest_file=spec.training.manifest_file,
            job_folder=str(folder.job),
            kit=str(folder.kits / name),
            home=str(folder.home(name)),
            device="cpu" if spec.workers.gpu == 0 else "auto",
        )
        for name, shard in prepared.workers.items()
    }


def write_config(path: Path, config: ServerConfig | WorkerConfig) -> Path:
    """Write a config to its file, readable by the owner only; returns the file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_text(path, config.model_dump_json(by_alias=True, indent=2), private=True)
    return path

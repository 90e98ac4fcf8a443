"""The files given to the processes of a local run; pure but for writing them."""

from __future__ import annotations

from pathlib import Path

from fedjob.atomic_files import write_text
from fedjob.engines.local.run_folder import RunFolder
from fedjob.preparation.prepared import PreparedRun
from fedjob.protocol.build_config import SitePaths, build_server_config, build_worker_config
from fedjob.protocol.config import ServerConfig, StoreLocation, WorkerConfig
from fedjob.storage.job_upload import checkpoint_key
from fedjob.storage.layout import Layout


def server_config(
    prepared: PreparedRun, folder: RunFolder, store: StoreLocation, http_port: int
) -> ServerConfig:
    """The server's configuration."""
    meta = prepared.job.metadata
    layout = Layout(meta.namespace, meta.name, store.prefix)
    checkpoint, validation = prepared.checkpoint, prepared.validation
    return build_server_config(
        prepared.job,
        _paths(folder, "server"),
        admin_kit=str(folder.kits / "admin"),
        num_classes=prepared.num_classes,
        shards={name: shard.name for name, shard in prepared.workers.items()},
        store=store,
        http_port=http_port,
        checkpoint=None if checkpoint is None else checkpoint_key(layout, checkpoint),
        validation_shard=None if validation is None else layout.shard(validation.name),
    )


def worker_configs(prepared: PreparedRun, folder: RunFolder) -> dict[str, WorkerConfig]:
    """The workers' configurations by name."""
    return {
        name: build_worker_config(
            prepared.job,
            name,
            _paths(folder, name),
            shard=shard.name,
            shard_url_file=str(folder.url_file(name)),
            kept_folder=str(folder.kept_files(name)),
            device="cpu" if prepared.job.spec.workers.gpu == 0 else "auto",
        )
        for name, shard in prepared.workers.items()
    }


def _paths(folder: RunFolder, site: str) -> SitePaths:
    return SitePaths(
        job_folder=str(folder.job), kit=str(folder.kits / site), home=str(folder.home(site))
    )


def write_config(path: Path, config: ServerConfig | WorkerConfig) -> Path:
    """Write a config to its file, readable by the owner only; returns the file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_text(path, config.model_dump_json(by_alias=True, indent=2), private=True)
    return path

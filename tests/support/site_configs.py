"""Configurations of a server and of a worker, with kits and a job folder on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedjob.protocol.config import ServerConfig, StoreLocation, WorkerConfig, WorkerShard
from fedjob.spec.models.job import FederatedJobSpec

SPEC: dict[str, Any] = {
    "model": {"source": {"uri": "s3://bucket/model_def.py"}, "className": "Net"},
    "federation": {"heartBeatTimeout": 45},
}


def write_kit(folder: Path, name: str, content: dict[str, Any]) -> Path:
    """A startup kit: a JSON file of NVFlare and a certificate."""
    folder.mkdir(parents=True)
    (folder / name).write_text(json.dumps(content))
    (folder / "rootCA.pem").write_text("certificate")
    return folder


def job_folder(folder: Path) -> Path:
    """A job folder whose configuration names no class of the author."""
    for side in ("client", "server"):
        path = folder / f"app/config/config_fed_{side}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (folder / "app/custom").mkdir()
    return folder


def server_config(folder: Path, **changes: Any) -> ServerConfig:
    """The configuration of a server whose kit names port 8002."""
    servers = [{"name": "digits", "service": {"target": "digits-server:8002", "scheme": "grpc"}}]
    values: dict[str, Any] = {
        "namespace": "team",
        "name": "digits",
        "spec": FederatedJobSpec.model_validate(SPEC),
        "num_classes": 2,
        "workers": [WorkerShard(name="worker-0", shard="a.zip")],
        "store": StoreLocation(bucket="jobs"),
        "job_folder": str(job_folder(folder / "job")),
        "kit": str(write_kit(folder / "kit", "fed_server.json", {"servers": servers})),
        "admin_kit": str(write_kit(folder / "admin", "fed_admin.json", {"admin": {}})),
        "home": str(folder / "home"),
    }
    return ServerConfig(**{**values, **changes})


def worker_config(folder: Path, **changes: Any) -> WorkerConfig:
    """The configuration of worker-0."""
    values: dict[str, Any] = {
        "namespace": "team",
        "name": "digits",
        "worker": "worker-0",
        "shard": "a.zip",
        "shard_url_file": str(folder / "url"),
        "job_folder": str(job_folder(folder / "job")),
        "kit": str(write_kit(folder / "kit", "fed_client.json", {})),
        "home": str(folder / "home"),
    }
    return WorkerConfig(**{**values, **changes})


def written(config: ServerConfig | WorkerConfig, folder: Path) -> list[str]:
    """The arguments with which a command reads this configuration."""
    path = folder / "config.json"
    path.write_text(config.model_dump_json(by_alias=True))
    return ["--config", str(path)]

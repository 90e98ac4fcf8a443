"""A job whose training function logs its inputs, and shards for it."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from e2e.cluster_access.operator_deployment import OperatorDeployment
from fedjob.protocol.commit import Commit
from fedjob.storage.layout import Layout
from fedjob.storage.rounds import RoundLog

RECORDER = """
import json
import time
from pathlib import Path

from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.line = nn.Linear(3, num_classes)
        nn.init.zeros_(self.line.weight)
        nn.init.zeros_(self.line.bias)


def fl_train_model(payload):
    env, weights = payload["env"], payload["initial_weights"]
    record = {
        "keys": sorted(payload),
        "data_root": payload["dataset"]["data_root"],
        "env": env,
        "weights": {name: tensor.flatten().tolist() for name, tensor in weights.items()},
    }
    print("RECORD " + json.dumps(record), flush=True)
    time.sleep(env["pause"])
    if env["SITE_NAME"] == env["slow_site"] and env["CURRENT_ROUND"] == env["slow_round"]:
        time.sleep(env["slow"])
    lines = (Path(payload["dataset"]["data_root"]) / env["manifest_file"]).read_text().split()
    step = 1 + int(env["SITE_NAME"].rpartition("-")[2])
    return {
        "weights": {name: tensor + step for name, tensor in weights.items()},
        "samples": len(lines),
        "metrics": {"step": float(step)},
    }
"""
"""Worker i adds i + 1 to every weight, so the mean shows which workers took part, and how much."""

EXTRA = {"pause": 0.0, "slow": 0.0, "slow_site": "", "slow_round": -1}


def shard(samples: int) -> bytes:
    """A shard ZIP whose manifest has `samples` lines."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        rows = ({"id": str(i), "uri": "x.txt", "y": i % 2} for i in range(samples))
        text = "\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        archive.writestr("manifest.ndjson", text)
        archive.writestr("x.txt", "x")
    return buffer.getvalue()


def recorder(
    rounds: int = 2, federation: dict[str, Any] | None = None, **extra: Any
) -> dict[str, Any]:
    """The spec's sections for a recorder job; `extra` goes to `training.extra`."""
    return {
        "model": {"className": "Net", "source": {"inline": RECORDER}},
        "training": {"extra": EXTRA | extra},
        "federation": {
            "numRounds": rounds,
            "minClients": 1,
            "waitTimeAfterMinReceived": 1,
            **(federation or {}),
        },
    }


def upload_shards(
    deployment: OperatorDeployment, name: str, *samples: int, namespace: str = ""
) -> None:
    """Uploads `part-<i>.zip` for each worker of the job."""
    layout = Layout(namespace or deployment.jobs, name)
    for index, count in enumerate(samples):
        deployment.bucket.put_bytes(layout.shard(f"part-{index}.zip"), shard(count))


def records(deployment: OperatorDeployment, name: str, worker: int) -> list[dict[str, Any]]:
    """The inputs that the worker's training function logged, one record per call."""
    log = deployment.kubectl("-n", deployment.jobs, "logs", f"{name}-worker-{worker}")
    found = (line.partition("RECORD ")[2] for line in log.splitlines() if "RECORD " in line)
    return [json.loads(text) for text in found]


def commits(deployment: OperatorDeployment, name: str, namespace: str = "") -> list[Commit]:
    """The committed rounds in order, including round 0."""
    log = RoundLog(deployment.bucket, Layout(namespace or deployment.jobs, name))
    return [log.read(number) for number in log.commits()]

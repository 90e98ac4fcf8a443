"""GPUs, as the scheduler counts them: the nodes of this cluster are said to have some.

What a node offers is its own status; the container then runs without a device, on the CPU.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.recorder import give_shards, recorder
from e2e.stage import Stage, is_complete

pytestmark = pytest.mark.e2e

GPU = "nvidia.com/gpu"
NODES = ("fedjob-worker", "fedjob-worker2")
RUNTIME = "fedjob-e2e-gpu"
TAINT = "fedjob.dev/e2e-gpu"


def offer(stage: Stage, node: str, count: int | None) -> None:
    """Makes a node offer so many GPUs, or none at all."""
    path = f"/status/capacity/{GPU.replace('/', '~1')}"
    change = {"op": "remove", "path": path} if count is None else {
        "op": "add", "path": path, "value": str(count)}  # fmt: skip
    stage.kubectl(
        "patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps([change])
    )


@pytest.fixture
def gpus(stage: Stage) -> Iterator[None]:
    """One GPU on each node."""
    runtime = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": RUNTIME},
        "handler": "runc",
    }
    stage.kubectl("apply", "-f", "-", given=json.dumps(runtime))
    for node in NODES:
        offer(stage, node, 1)
        stage.kubectl("label", "node", node, f"{TAINT}=yes", "--overwrite")
    yield
    for node in NODES:
        offer(stage, node, None)
        stage.kubectl("label", "node", node, f"{TAINT}-")
    stage.kubectl("delete", "runtimeclass", RUNTIME)


def told_fallback(status: Any) -> bool:
    found = status.get("conditions") or []
    return any(c["type"] == "GpuFallback" and c["status"] == "True" for c in found)


def test_without_gpus_workers_wait_or_fall_back(stage: Stage) -> None:
    """One condition tells of each; no node offers nine."""
    give_shards(stage, "waits", 4)
    stage.submit("waits", **recorder(1), workers={"gpu": 9, "gpuFallback": "wait"})
    status = stage.until("waits", lambda s: s.get("reason") == "GpuUnavailable")
    assert "gpuFallback: cpu" in status["message"]
    assert status["state"] == "Starting"
    stage.delete("waits")
    give_shards(stage, "falls", 4)
    stage.submit("falls", **recorder(1), workers={"gpu": 9, "gpuFallback": "cpu"})
    status = stage.until("falls", is_complete)
    assert told_fallback(status)
    stage.delete("falls")


def test_workers_land_one_per_gpu_and_the_rest_wait(stage: Stage, gpus: None) -> None:
    give_shards(stage, "gpus", 4, 4, 4)
    workers = {
        "gpu": 1,
        "gpuFallback": "wait",
        "runtimeClassName": RUNTIME,
        "nodeSelector": {TAINT: "yes"},
        "tolerations": [{"key": TAINT, "operator": "Exists", "effect": "NoSchedule"}],
    }
    stage.submit("gpus", **recorder(2, {"minClients": 3}), workers=workers)
    status = stage.until("gpus", lambda s: s.get("clients", {}).get("connected") == 2)
    status = stage.until("gpus", lambda s: s.get("reason") == "GpuUnavailable")
    assert status["state"] == "Starting"
    selector = "fedjob.dev/job=gpus,app.kubernetes.io/component=worker"
    pods = stage.get("pods", "-l", selector)["items"]
    placed = {p["spec"]["nodeName"] for p in pods if p["spec"].get("nodeName")}
    assert placed == set(NODES)
    [waiting] = [p for p in pods if not p["spec"].get("nodeName")]
    assert f"{waiting['metadata']['name']} waits for a GPU" in status["message"]
    for pod in pods:
        spec = pod["spec"]
        [container] = spec["containers"]
        assert container["resources"]["limits"][GPU] == "1"
        assert spec["runtimeClassName"] == RUNTIME
        assert spec["nodeSelector"] == {TAINT: "yes"}
        assert any(t.get("key") == TAINT for t in spec["tolerations"])
        # What a container sees of GPUs is NVIDIA's runtime's business.
        assert not [e for e in container["env"] if "NVIDIA" in e["name"] or "CUDA" in e["name"]]
    offer(stage, NODES[0], 2)
    status = stage.until("gpus", is_complete)
    assert status["rounds"]["completed"] == 2
    assert not told_fallback(status)
    stage.delete("gpus")

"""GPU scheduling with simulated GPUs: the test adds them to the capacity in the nodes' status.

The containers get no device and train on the CPU.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster_access.operator_deployment import OperatorDeployment, is_complete
from e2e.cluster_access.recorder import recorder, upload_shards

pytestmark = pytest.mark.e2e

GPU = "nvidia.com/gpu"
NODES = ("fedjob-worker", "fedjob-worker2")
RUNTIME = "fedjob-e2e-gpu"
TAINT = "fedjob.dev/e2e-gpu"


def offer(deployment: OperatorDeployment, node: str, count: int | None) -> None:
    """Sets the number of GPUs in a node's capacity; None removes the resource."""
    path = f"/status/capacity/{GPU.replace('/', '~1')}"
    change = {"op": "remove", "path": path} if count is None else {
        "op": "add", "path": path, "value": str(count)}  # fmt: skip
    deployment.kubectl(
        "patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps([change])
    )


@pytest.fixture
def gpus(deployment: OperatorDeployment) -> Iterator[None]:
    """One GPU on each node."""
    runtime = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": RUNTIME},
        "handler": "runc",
    }
    deployment.kubectl("apply", "-f", "-", given=json.dumps(runtime))
    for node in NODES:
        offer(deployment, node, 1)
        deployment.kubectl("label", "node", node, f"{TAINT}=yes", "--overwrite")
    yield
    for node in NODES:
        offer(deployment, node, None)
        deployment.kubectl("label", "node", node, f"{TAINT}-")
    deployment.kubectl("delete", "runtimeclass", RUNTIME)


def has_fallback_condition(status: Any) -> bool:
    found = status.get("conditions") or []
    return any(c["type"] == "GpuFallback" and c["status"] == "True" for c in found)


def test_without_gpus_workers_wait_or_fall_back(deployment: OperatorDeployment) -> None:
    """No node has nine GPUs; the status reports both cases."""
    upload_shards(deployment, "waits", 4)
    deployment.submit("waits", **recorder(1), workers={"gpu": 9, "gpuFallback": "wait"})
    status = deployment.until("waits", lambda s: s.get("reason") == "GpuUnavailable")
    assert "gpuFallback: cpu" in status["message"]
    assert status["state"] == "Starting"
    deployment.delete("waits")
    upload_shards(deployment, "falls", 4)
    deployment.submit("falls", **recorder(1), workers={"gpu": 9, "gpuFallback": "cpu"})
    status = deployment.until("falls", is_complete)
    assert has_fallback_condition(status)
    deployment.delete("falls")


def test_each_worker_gets_its_own_gpu_and_the_others_wait(
    deployment: OperatorDeployment, gpus: None
) -> None:
    upload_shards(deployment, "gpus", 4, 4, 4)
    workers = {
        "gpu": 1,
        "gpuFallback": "wait",
        "runtimeClassName": RUNTIME,
        "nodeSelector": {TAINT: "yes"},
        "tolerations": [{"key": TAINT, "operator": "Exists", "effect": "NoSchedule"}],
    }
    deployment.submit("gpus", **recorder(2, {"minClients": 3}), workers=workers)
    status = deployment.until("gpus", lambda s: s.get("clients", {}).get("connected") == 2)
    status = deployment.until("gpus", lambda s: s.get("reason") == "GpuUnavailable")
    assert status["state"] == "Starting"
    selector = "fedjob.dev/job=gpus,app.kubernetes.io/component=worker"
    pods = deployment.get("pods", "-l", selector)["items"]
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
        # The NVIDIA runtime decides which GPUs a container sees.
        assert not [e for e in container["env"] if "NVIDIA" in e["name"] or "CUDA" in e["name"]]
    offer(deployment, NODES[0], 2)
    status = deployment.until("gpus", is_complete)
    assert status["rounds"]["completed"] == 2
    assert not has_fallback_condition(status)
    deployment.delete("gpus")

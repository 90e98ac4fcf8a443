"""Injects faults into kind's nodes, containers and processes, from outside the cluster.

Acts only on the project's own kind nodes and on one job's pods.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any

CONTROL_PLANE = "fedjob-control-plane"
WORKER_NODES = ("fedjob-worker", "fedjob-worker2")
REGISTRY = "fedjob-registry"
LEASE_SECONDS = 17.0
"""Leader election of Kubernetes' components: leases last 15 s, standbys check every 2 s."""
CLIENT_JOB, SERVER_JOB = "client.worker_process", "server.job_process.main"
"""Patterns in the command lines of NVFlare's job processes."""
AGENT, NVFLARE_SERVER = "bin/fedjob-server-agent", "server.server_train"
"""Of the server's agent, and of NVFlare's parent process, which it starts."""


def docker(*arguments: str, check: bool = True) -> str:
    """Runs docker and returns its output."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"docker {arguments}: {done.stderr}"
    return done.stdout.strip()


def on(node: str, script: str, *, check: bool = True) -> str:
    """Runs a script in a node's shell."""
    return docker("exec", node, "sh", "-c", script, check=check)


@dataclass(frozen=True, slots=True)
class PodPlacement:
    """Where a pod runs.

    Attributes:
        pod: The pod's name.
        node: The node's name, which is also the name of kind's Docker container.
        container: containerd's ID of the pod's container.
        ip: The pod's IP address.
    """

    pod: str
    node: str
    container: str
    ip: str

    @property
    def _task(self) -> str:
        return f"ctr -n k8s.io tasks ls 2>/dev/null | awk '$1 == \"{self.container}\" {{print $2}}'"

    def kill_container(self) -> None:
        """Sends SIGKILL to the container's first process, which ends the container."""
        on(self.node, f"kill -9 $({self._task})")

    def freeze(self) -> None:
        """Freezes all processes of the container."""
        # The kernel cannot freeze a process that is just running a probe, so this retries.
        pause = f"ctr -n k8s.io tasks pause {self.container}"
        on(self.node, f"for i in 1 2 3 4 5 6 7 8 9; do {pause} && exit; sleep 0.1; done; {pause}")

    def thaw(self) -> None:
        """Ends `freeze`."""
        on(self.node, f"ctr -n k8s.io tasks resume {self.container}")

    def kill_processes(self, pattern: str) -> None:
        """Sends SIGKILL to the container's processes whose command line matches the pattern."""
        killed = on(
            self.node,
            f"for pid in $(pgrep -f '{pattern}'); do grep -q {self.container} /proc/$pid/cgroup "
            f"&& kill -9 $pid && echo $pid; done; true",
        )
        assert killed, f"{self.pod} has no process like {pattern}"

    def cut_off(self, address: str) -> None:
        """Drops packets that the pod sends to an address."""
        on(self.node, f"nsenter -t $({self._task}) -n ip route add blackhole {address}/32")

    def join(self, address: str) -> None:
        """Ends `cut_off`; does nothing if the container has been replaced meanwhile."""
        script = f"nsenter -t $({self._task}) -n ip route del blackhole {address}/32"
        on(self.node, script, check=False)


def placement_of(pod: dict[str, Any], *, sidecar: bool = False) -> PodPlacement:
    """The placement of a running pod, from its object.

    Args:
        pod: The object.
        sidecar: The container is the pod's sidecar, which a server's has: the federation.
    """
    status = pod["status"]
    statuses = status["initContainerStatuses" if sidecar else "containerStatuses"]
    container = statuses[0]["containerID"].removeprefix("containerd://")
    return PodPlacement(
        pod["metadata"]["name"], pod["spec"]["nodeName"], container, status["podIP"]
    )


def unpause_all() -> None:
    """Unpauses every node, for cleanup after errors."""
    for name in docker("ps", "-q", "--filter", "status=paused", "--filter", "name=fedjob-").split():
        docker("unpause", name, check=False)


def eviction_of(pod: str, namespace: str) -> tuple[str, str]:
    """Path and body of the POST that evicts a pod, as `kubectl drain` does."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace},
    }
    return f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", json.dumps(body)


def renew_control_plane() -> None:
    """Replaces the pods of scheduler and controller manager, and waits for the API server.

    Both exit when the API server is away for 10 s. The kubelet's restart backoff then grows to
    300 s, during which no pod would be scheduled.
    """
    mark = str(time.time_ns())
    kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
    ready = f"{kubectl} -n kube-system wait pod -l fedjob.dev/chaos={mark} --for=condition=Ready"
    on(
        CONTROL_PLANE,
        f"for i in $(seq 240); do {kubectl} get --raw /readyz && break; sleep 0.5; done; "
        f"{_marked('kube-scheduler', mark)} && {_marked('kube-controller-manager', mark)} && "
        f"for i in $(seq 120); do {ready} --timeout=60s && exit; sleep 1; done; "
        "echo scheduler and controller manager do not become ready >&2; exit 1",
    )
    # They become leaders only after the leases of their predecessors have expired.
    time.sleep(LEASE_SECONDS)


def restart_api_server() -> None:
    """Kills the API server; a changed label in its manifest makes it restart without backoff."""
    mark = str(time.time_ns())
    on(CONTROL_PLANE, f"{_marked('kube-apiserver', mark)} && pkill -9 kube-apiserver")


def _marked(part: str, mark: str) -> str:
    """A script that changes a label in a static pod's manifest, so the kubelet replaces the pod."""
    manifest = f"/etc/kubernetes/manifests/{part}.yaml"
    label = f'fedjob.dev/chaos: "{mark}"'
    return (
        f"sed '/fedjob.dev\\/chaos/d; s|^  labels:|  labels:\\n    {label}|' {manifest} "
        f"> /tmp/{part}.yaml && mv /tmp/{part}.yaml {manifest}"
    )

"""What a fault does to kind's nodes, containers and processes, from outside the cluster.

Everything here aims at the project's own kind nodes and at one job's pods.
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
"""Kubernetes' own leader election: 15 s without a renewal, and 2 s between two looks."""
CLIENT_JOB, SERVER_JOB = "client.worker_process", "server.job_process.main"
"""In the command lines of NVFlare's job processes."""


def docker(*arguments: str, check: bool = True) -> str:
    """Runs docker and returns what it printed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"docker {arguments}: {done.stderr}"
    return done.stdout.strip()


def on(node: str, script: str, *, check: bool = True) -> str:
    """Runs a script in a node's shell."""
    return docker("exec", node, "sh", "-c", script, check=check)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod runs.

    Attributes:
        pod: Its name.
        node: Its node, which is also the name of kind's container.
        container: containerd's id of its container.
        ip: The pod's address.
    """

    pod: str
    node: str
    container: str
    ip: str

    @property
    def _task(self) -> str:
        return f"ctr -n k8s.io tasks ls 2>/dev/null | awk '$1 == \"{self.container}\" {{print $2}}'"

    def kill_container(self) -> None:
        """SIGKILL to its first process, which ends it with all that is in it."""
        on(self.node, f"kill -9 $({self._task})")

    def freeze(self) -> None:
        """Stops all its processes where they are."""
        # The kernel cannot freeze a process that is just in a probe, and is asked again.
        pause = f"ctr -n k8s.io tasks pause {self.container}"
        on(self.node, f"for i in 1 2 3 4 5 6 7 8 9; do {pause} && exit; sleep 0.1; done; {pause}")

    def thaw(self) -> None:
        """Lets them go on."""
        on(self.node, f"ctr -n k8s.io tasks resume {self.container}")

    def kill_processes(self, pattern: str) -> None:
        """SIGKILL to those of its processes whose command line has the pattern."""
        killed = on(
            self.node,
            f"for pid in $(pgrep -f '{pattern}'); do grep -q {self.container} /proc/$pid/cgroup "
            f"&& kill -9 $pid && echo $pid; done; true",
        )
        assert killed, f"{self.pod} has no process like {pattern}"

    def cut_off(self, address: str) -> None:
        """Drops what it sends to an address."""
        on(self.node, f"nsenter -t $({self._task}) -n ip route add blackhole {address}/32")

    def join(self, address: str) -> None:
        """Ends `cut_off`; a container that has been replaced meanwhile has nothing to end."""
        script = f"nsenter -t $({self._task}) -n ip route del blackhole {address}/32"
        on(self.node, script, check=False)


def place_of(pod: dict[str, Any]) -> Place:
    """Where a running pod is, from its object."""
    status = pod["status"]
    container = status["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    return Place(pod["metadata"]["name"], pod["spec"]["nodeName"], container, status["podIP"])


def unpause_all() -> None:
    """No node stays paused, whatever went wrong."""
    for name in docker("ps", "-q", "--filter", "status=paused", "--filter", "name=fedjob-").split():
        docker("unpause", name, check=False)


def eviction_of(pod: str, namespace: str) -> tuple[str, str]:
    """Where and what to POST so that a pod is evicted, as by a drain of its node."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace},
    }
    return f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", json.dumps(body)


def renew_control_plane() -> None:
    """Fresh pods of scheduler and controller manager, and an API server that answers.

    Both end when the API server is away for 10 s, and the kubelet lets them wait the longer the
    more often that was: up to 300 s in which no pod is scheduled.
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
    # They take over once the leases of those before them have run out.
    time.sleep(LEASE_SECONDS)


def restart_api_server() -> None:
    """Kills the API server, and gives its manifest another mark: so it starts without backoff."""
    mark = str(time.time_ns())
    on(CONTROL_PLANE, f"{_marked('kube-apiserver', mark)} && pkill -9 kube-apiserver")


def _marked(part: str, mark: str) -> str:
    """A script that makes the kubelet replace a pod of the control plane, by a label."""
    manifest = f"/etc/kubernetes/manifests/{part}.yaml"
    label = f'fedjob.dev/chaos: "{mark}"'
    return (
        f"sed '/fedjob.dev\\/chaos/d; s|^  labels:|  labels:\\n    {label}|' {manifest} "
        f"> /tmp/{part}.yaml && mv /tmp/{part}.yaml {manifest}"
    )

"""A deployment for fault tests: the operator restarts, and the store keeps its data."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from chaos.nodes import PodPlacement, on, placement_of
from e2e.cluster_access.operator_deployment import STORE, OperatorDeployment


class ChaosDeployment(OperatorDeployment):
    """A deployment whose operator is restarted, and whose store keeps its data when killed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._wanted, self._over = threading.Event(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    @property
    def store_folder(self) -> str:
        """The store's data folder on the control plane's node."""
        return f"/var/lib/{self.system}"

    @property
    def store(self) -> str:
        """The store's manifest, pinned to the one node that no fault takes down."""
        on("fedjob-control-plane", f"install -d -o 10001 -g 10001 {self.store_folder}")
        placed = STORE.replace(
            "volumes: [{name: data, emptyDir: {}}]",
            f"volumes: [{{name: data, hostPath: {{path: {self.store_folder}}}}}]\n"
            "      nodeSelector: {node-role.kubernetes.io/control-plane: ''}\n"
            "      tolerations: [{operator: Exists}]\n"
            "      terminationGracePeriodSeconds: 1",
        )
        return placed.replace(
            "selector: {matchLabels: {app: store}}",
            "selector: {matchLabels: {app: store}}\n  strategy: {type: Recreate}",
        )

    def start(self) -> None:
        """Starts the operator; it is restarted when it ends, as the kubelet would do."""
        super().start()
        self._wanted.set()
        if not self._keeper.is_alive():
            self._keeper.start()

    def kill(self) -> None:
        """Kills the operator, and does not restart it until `start`."""
        self._wanted.clear()
        super().kill()

    def _keep(self) -> None:
        """Restarts the operator, which ends when it loses its Lease (22 s without API server)."""
        while not self._over.wait(1):
            ended = self._process is not None and self._process.poll() is not None
            if ended and self._wanted.is_set():
                super().start()

    def tear_down(self) -> None:
        """Also deletes the store's data."""
        self._over.set()
        if self._keeper.is_alive():
            self._keeper.join()
        super().tear_down()
        on("fedjob-control-plane", f"rm -rf {self.store_folder}", check=False)

    def store_pod(self) -> PodPlacement:
        """The placement of the store's pod."""
        listed = json.loads(self.kubectl("-n", self.system, "get", "pods", "-o", "json"))
        [pod] = [p for p in listed["items"] if "deletionTimestamp" not in p["metadata"]]
        return placement_of(pod)


def nodes_ready(deployment: OperatorDeployment) -> bool:
    """Whether every node is Ready."""
    try:
        nodes = deployment.get("nodes")["items"]
    except AssertionError:
        return False
    return all(
        condition["status"] == "True"
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    )

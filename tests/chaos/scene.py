"""A job under faults: where its pods are and what it has committed, also while the API is away."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes import client
from safetensors.torch import load
from urllib3.exceptions import HTTPError

from chaos.nodes import Place, on, place_of
from e2e.recorder import give_shards, recorder
from e2e.stage import STORE, Stage
from fedjob.protocol.commit import Commit
from fedjob.storage.errors import StoreError
from fedjob.storage.layout import Layout
from fedjob.storage.patience import Patience
from fedjob.storage.rounds import RoundLog

WORKERS = 2
PAUSE = 3.0
"""Seconds that a worker's training takes: long enough to strike in the middle of it."""
HEARTBEAT_TIMEOUT = 15
RESOURCES = {"requests": {"cpu": "50m", "memory": "300Mi"}}
NO_WAIT = Patience(seconds=0)


class ChaosStage(Stage):
    """A stage whose store is on the control plane's node, and keeps its data when it is killed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._wanted, self._over = threading.Event(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    @property
    def store_folder(self) -> str:
        """On the control plane's node."""
        return f"/var/lib/{self.system}"

    @property
    def store(self) -> str:
        """Pinned to the one node that no fault takes away."""
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
        """The operator, which is started again when it ends, as the kubelet does."""
        super().start()
        self._wanted.set()
        if not self._keeper.is_alive():
            self._keeper.start()

    def kill(self) -> None:
        """The operator, until `start`."""
        self._wanted.clear()
        super().kill()

    def _keep(self) -> None:
        """Without the API server for 22 s it has lost its Lease, and ends."""
        while not self._over.wait(1):
            ended = self._process is not None and self._process.poll() is not None
            if ended and self._wanted.is_set():
                super().start()

    def tear_down(self) -> None:
        """And the store's data."""
        self._over.set()
        if self._keeper.is_alive():
            self._keeper.join()
        super().tear_down()
        on("fedjob-control-plane", f"rm -rf {self.store_folder}", check=False)

    def store_pod(self) -> Place:
        """Where the store runs."""
        listed = json.loads(self.kubectl("-n", self.system, "get", "pods", "-o", "json"))
        [pod] = [p for p in listed["items"] if "deletionTimestamp" not in p["metadata"]]
        return place_of(pod)


class JobScene:
    """One job of a stage.

    Args:
        stage: Where it runs.
        name: Its name.
        rounds: `numRounds`.
    """

    def __init__(self, stage: ChaosStage, name: str, rounds: int, **extra: Any) -> None:
        self.stage, self.name, self.rounds = stage, name, rounds
        # Its own connections: a fault leaves broken ones behind.
        self._bucket = stage.bucket_named(stage.bucket.location.bucket)
        self._log = RoundLog(self._bucket, Layout(stage.jobs, name), NO_WAIT)
        self._patience = Patience()
        self._seen: dict[int, Commit] = {}
        self._first_seen: dict[int, float] = {}
        self.extra = extra

    def submit(self) -> None:
        """Gives it its shards, once S3 is back from the fault before, and creates it."""
        self._patience.call(lambda: list(self._bucket.list(f"{self.name}/")), self._bucket.close)
        give_shards(self.stage, self.name, *range(4, 4 + WORKERS))
        sections = recorder(
            self.rounds, {"heartBeatTimeout": HEARTBEAT_TIMEOUT}, pause=PAUSE, **self.extra
        )
        sections |= {
            "workers": {"gpu": 0, "maxRestarts": 50, "resources": RESOURCES},
            "server": {"resources": RESOURCES},
            "runPolicy": {"backoffLimit": 50},
        }
        self.stage.submit(self.name, **self.sections(sections))

    def sections(self, sections: dict[str, Any]) -> dict[str, Any]:
        """The sections of the spec; a place to change them."""
        return sections

    def commits(self) -> dict[int, Commit]:
        """Every committed round; what was seen before while S3 is away."""
        try:
            for number in self._log.commits():
                if number not in self._seen:
                    self._seen[number] = self._log.read(number)
                    self._first_seen[number] = time.time()
        except StoreError:
            pass
        return self._seen

    def next_commit(self, after: float) -> tuple[float, Commit] | None:
        """The first commit that was seen in S3 after a moment, and how long after.

        Its own time is that of the end of its round, which S3 may have had to wait for.
        """
        later = [
            (self._first_seen[number] - after, commit)
            for number, commit in self.commits().items()
            if self._first_seen[number] > after
        ]
        return min(later, key=lambda found: found[0], default=None)

    def model(self, commit: Commit) -> dict[str, Any]:
        """The model of a committed round, also where S3 is still away from the fault."""
        key = self._log.model_key(commit)
        data = self._patience.call(lambda: self._bucket.get_bytes(key), self._bucket.close)
        return dict(load(data))

    def completed(self) -> int:
        """The last committed round; 0 before the first."""
        return max(self.commits(), default=0)

    def status(self) -> dict[str, Any]:
        """Empty while the API server is away."""
        try:
            return dict(self.stage.status(self.name))
        except (client.ApiException, HTTPError, OSError):
            return {}

    def pods(self) -> list[dict[str, Any]]:
        """Those that run and are not being deleted; none while the API server is away."""
        try:
            items = self.stage.get("pods", "-l", f"fedjob.dev/job={self.name}")["items"]
        except AssertionError:
            return []
        return [
            pod
            for pod in items
            if pod["status"]["phase"] == "Running"
            and "deletionTimestamp" not in pod["metadata"]
            and "running" in pod["status"]["containerStatuses"][0]["state"]
        ]

    def server(self) -> Place | None:
        """Where the server runs, if it does."""
        found = [place_of(p) for p in self.pods() if "-server" in p["metadata"]["name"]]
        return found[0] if found else None

    def workers(self) -> list[Place]:
        """Where workers run."""
        found = [place_of(p) for p in self.pods() if "-worker-" in p["metadata"]["name"]]
        return sorted(found, key=lambda place: place.pod)

    def until(self, is_so: Callable[[], Any], seconds: float, pause: float = 0.2) -> Any:
        """What `is_so` gives once it is true; what it gave last when the time is over."""
        deadline = time.monotonic() + seconds
        while not (found := is_so()) and time.monotonic() < deadline:
            time.sleep(pause)
        return found

    def all_connected(self) -> bool:
        """Every worker is there, in the operator's word."""
        clients = self.status().get("clients") or {}
        return clients.get("connected") == WORKERS

    def close(self) -> None:
        """Deletes the job."""
        gone = ("--ignore-not-found", "--wait=false")
        self.stage.kubectl("-n", self.stage.jobs, "delete", "fj", self.name, *gone)


def nodes_ready(stage: Stage) -> bool:
    """Every node answers its kubelet."""
    try:
        nodes = stage.get("nodes")["items"]
    except AssertionError:
        return False
    return all(
        condition["status"] == "True"
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    )

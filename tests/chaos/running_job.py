"""A running job under faults: its pods and commits, also while API server or S3 are down."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kubernetes import client
from safetensors.torch import load
from urllib3.exceptions import HTTPError

from chaos.deployment import ChaosDeployment
from chaos.nodes import PodPlacement, placement_of
from e2e.cluster_access.recorder import recorder, upload_shards
from fedjob.protocol.commit import Commit
from fedjob.storage.errors import StoreError
from fedjob.storage.layout import Layout
from fedjob.storage.patience import Patience
from fedjob.storage.rounds import RoundLog

WORKERS = 2
PAUSE = 3.0
"""Seconds that a worker's training takes, long enough to strike in the middle of it."""
HEARTBEAT_TIMEOUT = 15
RESOURCES = {"requests": {"cpu": "50m", "memory": "300Mi"}}
NO_WAIT = Patience(seconds=0)


class RunningJob:
    """One job of a deployment.

    Args:
        deployment: Where the job runs.
        name: The job's name.
        rounds: `numRounds`.
        extra: Further values of `training.extra`.
    """

    def __init__(self, deployment: ChaosDeployment, name: str, rounds: int, **extra: Any) -> None:
        self.deployment, self.name, self.rounds = deployment, name, rounds
        # Own connections, since a fault leaves broken ones in the deployment's pool.
        self._bucket = deployment.bucket_named(deployment.bucket.location.bucket)
        self._log = RoundLog(self._bucket, Layout(deployment.jobs, name), NO_WAIT)
        self._patience = Patience()
        self._seen: dict[int, Commit] = {}
        self._first_seen: dict[int, float] = {}
        self.extra = extra

    def submit(self) -> None:
        """Uploads the shards, once S3 is back from the previous fault, and creates the job."""
        self._patience.call(lambda: list(self._bucket.list(f"{self.name}/")), self._bucket.close)
        upload_shards(self.deployment, self.name, *range(4, 4 + WORKERS))
        sections = recorder(
            self.rounds, {"heartBeatTimeout": HEARTBEAT_TIMEOUT}, pause=PAUSE, **self.extra
        )
        sections |= {
            "workers": {"gpu": 0, "maxRestarts": 50, "resources": RESOURCES},
            "server": {"resources": RESOURCES},
            "runPolicy": {"backoffLimit": 50},
        }
        self.deployment.submit(self.name, **self.sections(sections))

    def sections(self, sections: dict[str, Any]) -> dict[str, Any]:
        """The sections of the spec; subclasses change them here."""
        return sections

    def commits(self) -> dict[int, Commit]:
        """The committed rounds; those known so far while S3 is down."""
        try:
            for number in self._log.commits():
                if number not in self._seen:
                    self._seen[number] = self._log.read(number)
                    self._first_seen[number] = time.time()
        except StoreError:
            pass
        return self._seen

    def next_commit(self, after: float) -> tuple[float, Commit] | None:
        """The first commit seen in S3 after a point in time, with the seconds in between.

        The commit's own timestamp is that of the end of its round, before the upload.
        """
        later = [
            (self._first_seen[number] - after, commit)
            for number, commit in self.commits().items()
            if self._first_seen[number] > after
        ]
        return min(later, key=lambda found: found[0], default=None)

    def model(self, commit: Commit) -> dict[str, Any]:
        """The model of a committed round; waits while S3 is still down."""
        key = self._log.model_key(commit)
        data = self._patience.call(
            lambda: self._bucket.get_bytes(key, commit.size), self._bucket.close
        )
        return dict(load(data))

    def completed(self) -> int:
        """The last committed round; 0 before the first."""
        return max(self.commits(), default=0)

    def status(self) -> dict[str, Any]:
        """The job's status; empty while the API server is down."""
        try:
            return dict(self.deployment.status(self.name))
        except (client.ApiException, HTTPError, OSError):
            return {}

    def pods(self) -> list[dict[str, Any]]:
        """The running pods that are not being deleted; none while the API server is down."""
        try:
            items = self.deployment.get("pods", "-l", f"fedjob.dev/job={self.name}")["items"]
        except AssertionError:
            return []
        return [
            pod
            for pod in items
            if pod["status"]["phase"] == "Running"
            and "deletionTimestamp" not in pod["metadata"]
            and "running" in pod["status"]["containerStatuses"][0]["state"]
        ]

    def server(self) -> PodPlacement | None:
        """The placement of the server, if it runs."""
        found = [placement_of(p) for p in self.pods() if "-server" in p["metadata"]["name"]]
        return found[0] if found else None

    def federation(self) -> PodPlacement | None:
        """The placement of the server's container that runs NVFlare, if it runs."""
        found = [
            placement_of(pod, sidecar=True)
            for pod in self.pods()
            if "-server" in pod["metadata"]["name"]
            and "running" in pod["status"]["initContainerStatuses"][0]["state"]
        ]
        return found[0] if found else None

    def workers(self) -> list[PodPlacement]:
        """The placements of the running workers, by name."""
        found = [placement_of(p) for p in self.pods() if "-worker-" in p["metadata"]["name"]]
        return sorted(found, key=lambda place: place.pod)

    def until(self, is_so: Callable[[], Any], seconds: float, pause: float = 0.2) -> Any:
        """The first true result of `is_so`, or its last result after the timeout."""
        deadline = time.monotonic() + seconds
        while not (found := is_so()) and time.monotonic() < deadline:
            time.sleep(pause)
        return found

    def all_connected(self) -> bool:
        """Whether the status counts every worker as connected."""
        clients = self.status().get("clients") or {}
        return clients.get("connected") == WORKERS

    def close(self) -> None:
        """Deletes the job."""
        gone = ("--ignore-not-found", "--wait=false")
        self.deployment.kubectl("-n", self.deployment.jobs, "delete", "fj", self.name, *gone)

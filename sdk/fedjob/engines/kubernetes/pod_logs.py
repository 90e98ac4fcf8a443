"""Logs of a job's pods, through restarts of containers and replacements of pods."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fedjob.backoff import Backoff
from fedjob.engines.kubernetes.access import ApiServer
from fedjob.engines.kubernetes.errors import (
    ApiServerError,
    ClusterUnreachableError,
    JobRefusedError,
    ObjectNotFoundError,
    Request,
)

JOB_LABEL = "fedjob.dev/job"
WORKER_LABEL = "fedjob.dev/worker"
COMPONENT_LABEL = "app.kubernetes.io/component"
START_ANNOTATION = "fedjob.dev/start"
"""The number of a pod among those of its site, from 0; the operator writes it."""
SERVER = "server"
SILENCE_SECONDS = 90.0
"""A followed log without a byte for this long is asked for again: its connection may be dead."""
RETRY = Backoff(0.5, 5.0, jitter=0.3)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a site.

    Attributes:
        name: metadata.name.
        start: Its number among the pods of the site.
        restarts: Of its container, in place.
        ended: Whether its container will not run again.
        begun: Whether its container has run: before that it has no log.
    """

    name: str
    start: int
    restarts: int
    ended: bool
    begun: bool


def parse_pod(body: dict[str, Any]) -> Pod:
    """The pod of an object of the API."""
    meta, status = body["metadata"], body.get("status") or {}
    containers = status.get("containerStatuses") or []
    begun = any(
        "running" in (each.get("state") or {})
        or "terminated" in (each.get("state") or {})
        or each.get("restartCount", 0) > 0
        for each in containers
    )
    return Pod(
        name=str(meta["name"]),
        start=int((meta.get("annotations") or {}).get(START_ANNOTATION, 0)),
        restarts=max((int(each.get("restartCount", 0)) for each in containers), default=0),
        ended=status.get("phase") in ("Succeeded", "Failed"),
        begun=begun,
    )


class PodLogs:
    """The logs of one site: of its newest pod, or of the start before."""

    def __init__(
        self,
        api: ApiServer,
        namespace: str,
        job: str,
        site: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Asks for nothing yet.

        Args:
            api: The cluster.
            namespace: Of the job.
            job: Its name.
            site: `server` or `worker-<i>`.
            sleep: Waits between tries.
        """
        self._api = api
        self._namespace = namespace
        self._sleep = sleep
        label = f"{COMPONENT_LABEL}={SERVER}" if site == SERVER else f"{WORKER_LABEL}={site}"
        self._selector = f"{JOB_LABEL}={job},{label}"

    def pods(self) -> list[Pod]:
        """The pods of the site that exist, the oldest first.

        Raises:
            ForbiddenError: Pods may not be listed.
        """
        page = self._api.json(
            "GET",
            f"/api/v1/namespaces/{self._namespace}/pods",
            Request("list", "pods", self._namespace),
            query={"labelSelector": self._selector},
        )
        return sorted((parse_pod(item) for item in page["items"]), key=lambda pod: pod.start)

    def lines(self, *, previous: bool = False) -> Iterator[str] | None:
        """The lines of the last start, or of the one before.

        Args:
            previous: The start before the last.

        Returns:
            None where no pod has them.

        Raises:
            ForbiddenError: Pods or their logs may not be read.
        """
        pods = [pod for pod in self.pods() if pod.begun]
        if not pods:
            return None
        last = pods[-1]
        if not previous:
            return self._whole(last.name, previous=False)
        if last.restarts:
            return self._whole(last.name, previous=True)
        return self._whole(pods[-2].name, previous=False) if len(pods) > 1 else None

    def follow(self, ended: Callable[[], bool]) -> Iterator[str]:
        """Every line of the newest pod and of those that replace it, as they are written.

        Args:
            ended: Whether no further lines are to be expected of any pod.
        """
        pod: Pod | None = None
        last = ("", "")
        failures = 0
        while True:
            over = ended()  # asked before reading, so that the last lines are read
            found = [each for each in self.pods() if each.begun]
            if found:
                newest = found[-1]
                if pod is None or newest.start != pod.start:
                    last = ("", "")
                pod = newest
                try:
                    for stamp, line in self._stamped(pod.name, last):
                        last, failures = stamp, 0
                        yield line
                except (
                    ConnectionError, ClusterUnreachableError, ApiServerError, ObjectNotFoundError,
                    JobRefusedError,
                ):  # fmt: skip
                    # A container that is being started answers 400.
                    failures += 1
            if over and (pod is None or pod.ended or not found):
                return
            failures += not found
            self._sleep(RETRY.delay(max(failures, 1), random.random()))  # noqa: S311 (jitter)

    def _whole(self, pod: str, *, previous: bool) -> Iterator[str]:
        query = {"previous": "true"} if previous else {}
        request = Request("get", "pods/log", self._namespace, pod)
        with self._api.stream(
            self._path(pod), request, query, read_seconds=SILENCE_SECONDS
        ) as lines:
            for line in lines:
                yield _text(line)

    def _stamped(self, pod: str, last: tuple[str, str]) -> Iterator[tuple[tuple[str, str], str]]:
        """The lines after the time `last`, each with its own."""
        query = {"follow": "true", "timestamps": "true"}
        if last[0]:
            query["sinceTime"] = f"{last[0]}Z"
        request = Request("get", "pods/log", self._namespace, pod)
        with self._api.stream(
            self._path(pod), request, query, read_seconds=SILENCE_SECONDS
        ) as lines:
            for line in lines:
                stamp, _, text = _text(line).partition(" ")
                moment = _moment(stamp)
                if moment > last:
                    yield moment, text

    def _path(self, pod: str) -> str:
        return f"/api/v1/namespaces/{self._namespace}/pods/{pod}/log"


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")


def _moment(stamp: str) -> tuple[str, str]:
    """Seconds and nanoseconds of a time as the kubelet writes it, in an order that compares."""
    seconds, _, fraction = stamp.removesuffix("Z").partition(".")
    return seconds, fraction.ljust(9, "0")

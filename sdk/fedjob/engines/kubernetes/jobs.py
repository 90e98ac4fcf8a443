"""FederatedJobs over the API: list, get, apply, patch, delete, and a watch that does not end."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fedjob.backoff import Backoff
from fedjob.engines.kubernetes.access import ApiServer
from fedjob.engines.kubernetes.errors import (
    ApiServerError,
    ClusterUnreachableError,
    CrdMissingError,
    ExpiredError,
    ForbiddenError,
    JobNotFoundError,
    Request,
    UnauthorizedError,
    error_for,
)
from fedjob.engines.kubernetes.resource import JobResource, parse

API_VERSION = "fedjob.dev/v1alpha1"
FIELD_MANAGER = "fedjob-cli"
_ROOT = f"/apis/{API_VERSION}"
_PAGE = 500
"""Jobs of one answer to a list."""
_LISTS = 3
"""Times that a list is begun, when its continue token expires between pages."""
WATCH_SECONDS = 60
"""The API server ends a watch after this long; the next one continues where it ended."""
SILENCE_SECONDS = WATCH_SECONDS + 15.0
"""A watch without a byte for this long has lost its connection."""
SETTLE_SECONDS = 30.0
"""A restarted API server may not know its roles and resource definitions yet: its refusals are
tried again for this long, where the same was allowed before."""
RECONNECT = Backoff(0.2, 10.0, jitter=0.3)


class Change(StrEnum):
    """What happened to a job."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job, as it is after a change; the last that was known of it when it was deleted."""

    change: Change
    job: JobResource


_REFUSALS = (ForbiddenError, CrdMissingError, UnauthorizedError)


def _ignore(message: str) -> None:
    """No one wants to know that the connection broke."""


class JobsApi:
    """FederatedJobs of one namespace, or of all.

    Every method raises the errors of `fedjob.engines.kubernetes.errors`.
    """

    def __init__(
        self,
        api: ApiServer,
        namespace: str | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Sends nothing yet.

        Args:
            api: The cluster.
            namespace: None is that of the cluster's context.
            sleep: Waits between reconnections of a watch.
            clock: For deadlines, in seconds.
        """
        self.api = api
        self.namespace = namespace or api.namespace
        self._sleep = sleep
        self._clock = clock

    def all(self, *, everywhere: bool = False) -> list[JobResource]:
        """The jobs, by namespace and name.

        Args:
            everywhere: In all namespaces.
        """
        for left in range(_LISTS, 0, -1):
            try:
                found, _ = self._list({}, everywhere=everywhere)
            except ExpiredError:  # between two pages
                if left == 1:
                    raise
            else:
                break
        return sorted(found, key=lambda job: (job.namespace, job.name))

    def get(self, name: str) -> JobResource:
        """One job.

        Raises:
            JobNotFoundError: No job of the namespace has this name.
        """
        return parse(self.api.json("GET", self._path(name), self._request("get", name)))

    def find(self, name: str) -> JobResource | None:
        """One job; None where no job has this name."""
        try:
            return self.get(name)
        except JobNotFoundError:
            return None

    def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> JobResource:
        """Create the job, or make it what the manifest says (server-side apply).

        Fields that another client set and that the manifest does not name stay.

        Args:
            manifest: The FederatedJob; its namespace is set here.
            dry_run: Let the API server check it, and change nothing.

        Raises:
            JobRefusedError: The API server refuses it; every fault of it.
        """
        meta = {**manifest["metadata"], "namespace": self.namespace}
        name = str(meta["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        body = {**manifest, "apiVersion": API_VERSION, "kind": "FederatedJob", "metadata": meta}
        return parse(
            self.api.json(
                "PATCH",
                self._path(name),
                self._request("patch", name),
                query=query,
                body=body,
                content_type="application/apply-patch+yaml",
            )
        )

    def patch(self, name: str, changes: Mapping[str, Any]) -> JobResource:
        """Change fields of a job by a JSON merge patch; null removes one.

        Raises:
            JobNotFoundError: No job of the namespace has this name.
            JobRefusedError: The API server refuses the change.
        """
        return parse(
            self.api.json(
                "PATCH",
                self._path(name),
                self._request("patch", name),
                query={"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
                body=changes,
                content_type="application/merge-patch+json",
            )
        )

    def delete(self, name: str) -> None:
        """Delete a job; the operator and the garbage collector remove what belongs to it.

        Raises:
            JobNotFoundError: No job of the namespace has this name.
        """
        self.api.json("DELETE", self._path(name), self._request("delete", name))

    def watch(
        self,
        name: str | None = None,
        *,
        everywhere: bool = False,
        deadline: float | None = None,
        interrupted: Callable[[str], None] = _ignore,
    ) -> Iterator[JobChange]:
        """Each job as it is now, then every change, through broken connections and restarts.

        A job that changed several times while the connection was broken comes once, as it is
        afterwards; one that was deleted meanwhile comes as deleted.

        Args:
            name: One job only; it need not exist yet.
            everywhere: In all namespaces.
            deadline: On the clock; the iteration ends then. None: it never ends by itself.
            interrupted: Called when the connection broke, before each new try.

        Raises:
            FedjobError: The first list failed; or later, what trying again does not mend, such as
                a ForbiddenError that stays for `SETTLE_SECONDS`.
        """
        selector = {"fieldSelector": f"metadata.name={name}"} if name else {}
        known: dict[tuple[str, str], JobResource] = {}
        version: str | None = None
        failures = 0
        first = True
        refused_since: float | None = None
        while deadline is None or self._clock() < deadline:
            try:
                if version is None:
                    jobs, version = self._list(selector, everywhere=everywhere, verb="list")
                    first, refused_since = False, None
                    yield from _differences(known, jobs)
                for kind, body in self._events(selector, everywhere, version, deadline):
                    failures, refused_since = 0, None
                    version = str((body.get("metadata") or {}).get("resourceVersion", version))
                    if kind != "BOOKMARK":
                        yield _taken(known, kind, parse(body))
            except ExpiredError:
                version = None
                failures += 1
                if failures > 1:
                    self._pause(failures, deadline)
            except (ConnectionError, ClusterUnreachableError, ApiServerError, *_REFUSALS) as error:
                if first:
                    raise
                if isinstance(error, _REFUSALS):
                    refused_since = refused_since or self._clock()
                    if self._clock() - refused_since > SETTLE_SECONDS:
                        raise
                if deadline is not None and self._clock() >= deadline:
                    return
                failures += 1
                interrupted(str(error))
                self._pause(failures, deadline)

    def _pause(self, failures: int, deadline: float | None) -> None:
        seconds = RECONNECT.delay(failures, random.random())  # noqa: S311 (jitter)
        if deadline is not None:
            seconds = min(seconds, max(deadline - self._clock(), 0.0))
        self._sleep(seconds)

    def _events(
        self, selector: Mapping[str, str], everywhere: bool, version: str, deadline: float | None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of one connection, which the API server ends after WATCH_SECONDS."""
        seconds, silence = float(WATCH_SECONDS), SILENCE_SECONDS
        if deadline is not None:
            left = deadline - self._clock()
            seconds = min(seconds, max(left, 1.0))
            # The API server takes whole seconds only.
            silence = min(silence, max(left, 0.001))
        query = {
            **selector,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(round(seconds)),
        }
        request = self._request("watch", everywhere=everywhere)
        path = self._path(everywhere=everywhere)
        with self.api.stream(path, request, query, read_seconds=silence) as lines:
            for line in lines:
                if not line.strip():
                    continue
                try:
                    event = json.loads(line)
                except ValueError as error:  # the connection broke within a line
                    raise ConnectionError(f"half an event: {line[:80]!r}") from error
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise error_for(int(status.get("code", 500)), json.dumps(status).encode(),
                                    request)  # fmt: skip
                yield str(event["type"]), event["object"]

    def _list(
        self, query: Mapping[str, str], *, everywhere: bool, verb: str = "list"
    ) -> tuple[list[JobResource], str]:
        """All jobs, page by page, and the version to watch from."""
        found: list[JobResource] = []
        token = ""
        while True:
            page = self.api.json(
                "GET",
                self._path(everywhere=everywhere),
                self._request(verb, everywhere=everywhere),
                query={**query, "limit": str(_PAGE), **({"continue": token} if token else {})},
            )
            found += [parse(item) for item in page.get("items", [])]
            meta = page.get("metadata") or {}
            token = str(meta.get("continue") or "")
            if not token:
                return found, str(meta.get("resourceVersion", ""))

    def _path(self, name: str = "", *, everywhere: bool = False) -> str:
        if everywhere:
            return f"{_ROOT}/federatedjobs"
        root = f"{_ROOT}/namespaces/{self.namespace}/federatedjobs"
        return f"{root}/{name}" if name else root

    def _request(self, verb: str, name: str | None = None, *, everywhere: bool = False) -> Request:
        return Request(verb, namespace=None if everywhere else self.namespace, name=name)


def _key(job: JobResource) -> tuple[str, str]:
    return job.namespace, job.name


def _taken(known: dict[tuple[str, str], JobResource], kind: str, job: JobResource) -> JobChange:
    """Take an event into `known`."""
    if kind == Change.DELETED:
        known.pop(_key(job), None)
    else:
        known[_key(job)] = job
    return JobChange(Change(kind), job)


def _differences(
    known: dict[tuple[str, str], JobResource], jobs: list[JobResource]
) -> Iterator[JobChange]:
    """What a new list changes of what is known, as events."""
    listed = {_key(job): job for job in jobs}
    for key, old in list(known.items()):
        # One of the same name but another uid is another job.
        if key not in listed or listed[key].uid != old.uid:
            del known[key]
            yield JobChange(Change.DELETED, old)
    for key, job in listed.items():
        before = known.get(key)
        if before is None or before.resource_version != job.resource_version:
            known[key] = job
            yield JobChange(Change.ADDED if before is None else Change.MODIFIED, job)

"""A Kubernetes API in memory, in the shape of `fedjob_operator.kube.client.Cluster`."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from fedjob_operator.kube.client import ApiError
from fedjob_operator.naming import JOB, Body

ChildKey = tuple[str, str]


class MemoryCluster:
    """Objects of one namespace by kind and name; every call is recorded and can be refused.

    Attributes:
        objects: What exists.
        calls: Each call, as `verb Kind name`.
        errors: The error that a call raises.
        during: Called before a call is answered: what happens meanwhile in the cluster.
        lingering: Kinds whose objects stay for a grace period when they are deleted.
    """

    def __init__(self, *bodies: Body) -> None:
        self.objects: dict[ChildKey, Body] = {}
        self.calls: list[str] = []
        self.errors: dict[str, ApiError] = {}
        self.during: dict[str, Callable[[], object]] = {}
        self.lingering: frozenset[str] = frozenset()
        self._versions = itertools.count(100)
        self._uids = itertools.count()
        for body in bodies:
            self.put(body)

    def put(self, body: Body) -> Body:
        """Stores an object as the API server does: with a uid and a new version."""
        key = (body["kind"], body["metadata"]["name"])
        known = self.objects.get(key, {"metadata": {}})["metadata"]
        uid = body["metadata"].get("uid") or known.get("uid") or f"uid-{next(self._uids)}"
        meta = {**body["metadata"], "uid": uid, "resourceVersion": str(next(self._versions))}
        self.objects[key] = {**body, "metadata": meta}
        return self.objects[key]

    def of_kind(self, kind: str) -> list[str]:
        """The names of the objects of a kind."""
        return sorted(name for found, name in self.objects if found == kind)

    def _call(self, verb: str, kind: str, name: str = "") -> None:
        call = f"{verb} {kind} {name}".strip()
        self.calls.append(call)
        if call in self.during:
            self.during.pop(call)()
        if call in self.errors:
            raise self.errors[call]

    async def get(self, version: str, kind: str, namespace: str, name: str) -> Body | None:
        """An object; None where there is none."""
        self._call("get", kind, name)
        return self.objects.get((kind, name))

    async def list_all(
        self, version: str, kind: str, namespace: str = "", labels: str = ""
    ) -> list[Body]:
        """All objects of a kind."""
        self._call("list", kind)
        return [body for (found, _), body in self.objects.items() if found == kind]

    async def pages(
        self, version: str, kind: str, namespace: str = "", labels: str = "", *, limit: int = 500
    ) -> AsyncIterator[Body]:
        """All objects of a kind, one after another."""
        for body in await self.list_all(version, kind, namespace, labels):
            yield body

    async def children(self, namespace: str, job: str) -> list[Body]:
        """Everything with the job's label, except Secrets."""
        self._call("children", job)
        labelled = ((b, b["metadata"].get("labels") or {}) for b in self.objects.values())
        found = [body for body, labels in labelled if labels.get(JOB) == job]
        return [body for body in found if body["kind"] != "Secret"]

    async def secrets(self, namespace: str, names: Iterable[str]) -> list[Body]:
        """The Secrets of these names that exist."""
        found = [await self.get("v1", "Secret", namespace, name) for name in names]
        return [body for body in found if body is not None]

    async def create(self, body: Body) -> Body:
        """Creates an object; 409 where there is one."""
        name = body["metadata"]["name"]
        self._call("create", body["kind"], name)
        if (body["kind"], name) in self.objects:
            raise ApiError(f"POST {name}", 409, "AlreadyExists", "it exists")
        return self.put(body)

    async def apply(self, body: Body) -> Body:
        """Creates or changes an object."""
        self._call("apply", body["kind"], body["metadata"]["name"])
        return self.put(body)

    async def apply_status(self, job: Body, status: Body) -> Body:
        """Writes a job's status; 409 where the job has changed."""
        name = job["metadata"]["name"]
        self._call("status", job["kind"], name)
        known = self.objects.get((job["kind"], name))
        if known is None:
            raise ApiError(f"PATCH {name}", 404, "NotFound", "it does not exist")
        if known["metadata"]["resourceVersion"] != job["metadata"]["resourceVersion"]:
            raise ApiError(f"PATCH {name}", 409, "Conflict", "it has changed")
        return self.put({**known, "status": status})

    async def delete(self, body: Body) -> Body | None:
        """Deletes an object: at once, or after its grace period."""
        self._call("delete", body["kind"], body["metadata"]["name"])
        if body["kind"] in self.lingering:
            meta = {**body["metadata"], "deletionTimestamp": "2027-01-15T08:00:15Z"}
            return self.put({**body, "metadata": meta})
        self.objects.pop((body["kind"], body["metadata"]["name"]), None)
        return None

    async def proxy(self, namespace: str, pod: str, port: int, path: str, query: str) -> Any:
        """GET from a pod's port."""
        self._call("proxy", "Pod", pod)
        return self.objects[("Answer", pod)]["answer"]

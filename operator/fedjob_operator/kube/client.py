"""Every call of the operator to the API server, with typed errors. Nothing is decided here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.exceptions import DynamicApiError

from fedjob.errors import UnavailableError
from fedjob.reasons import Reason
from fedjob.spec.models.job import API_VERSION, KIND, PLURAL
from fedjob_operator.metrics import API_CALLS
from fedjob_operator.naming import JOB, MANAGER, Body

PLURALS = {
    "Pod": "pods",
    "Secret": "secrets",
    "ConfigMap": "configmaps",
    "Service": "services",
    "Event": "events",
    "Node": "nodes",
    "Namespace": "namespaces",
    "NetworkPolicy": "networkpolicies",
    "Lease": "leases",
    KIND: PLURAL,
}
VERSIONS = {
    "Pod": "v1",
    "Secret": "v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}
"""The kinds of children, with their API versions."""
WATCHED = {kind: version for kind, version in VERSIONS.items() if kind != "Secret"}
"""Children that are listed and watched. Secrets are read by name: a right to list them would be one
to read those of everybody."""
MOST_PROXIED = 4 << 20
"""Bytes of an answer of a pod."""
TIMEOUT = 30.0
PARALLEL = 32


class ApiError(UnavailableError):
    """The API server refused a request.

    Attributes:
        code: HTTP status; 0 when there was no answer.
        status_reason: Kubernetes' own reason, such as `AlreadyExists`.
        detail: Kubernetes' message.
        retry_after: Seconds that the API server asks to wait; None where it does not ask.
    """

    reason = Reason.ADMISSION_REFUSED

    def __init__(
        self,
        subject: str,
        code: int,
        status_reason: str,
        detail: str,
        retry_after: float | None = None,
    ) -> None:
        self.code = code
        self.status_reason = status_reason
        self.detail = detail
        self.retry_after = retry_after
        super().__init__(f"{subject}: the API server answered {code} {status_reason}: {detail}")

    @property
    def refused(self) -> bool:
        """Whether the same request will be refused until something is changed."""
        return self.code in (400, 403, 404, 422)


def path_of(version: str, kind: str, namespace: str = "", name: str = "", sub: str = "") -> str:
    """The URL path of a collection, an object or a subresource."""
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{within}/{PLURALS[kind]}" + "".join(f"/{p}" for p in (name, sub) if p)


class Cluster:
    """The API server, through the kubernetes client's dynamic client.

    Args:
        client: Connection to the API server.
        left: Gives the seconds for which this process may still change anything; None: no limit.
    """

    def __init__(self, client: ApiClient, left: Callable[[], float] | None = None) -> None:
        self._client = DynamicClient(client)
        self._left = left
        self._slots = asyncio.Semaphore(PARALLEL)

    async def get(self, version: str, kind: str, namespace: str, name: str) -> Body | None:
        """An object; None where there is none."""
        try:
            return await self._call("get", path_of(version, kind, namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def list_all(
        self, version: str, kind: str, namespace: str = "", labels: str = ""
    ) -> list[Body]:
        """All objects of a kind, by label selector."""
        return [body async for body in self.pages(version, kind, namespace, labels)]

    async def pages(
        self, version: str, kind: str, namespace: str = "", labels: str = "", *, limit: int = 500
    ) -> AsyncIterator[Body]:
        """All objects of a kind, of which one page is held at a time.

        Args:
            version: Their apiVersion.
            kind: Their kind.
            namespace: Where; empty: everywhere.
            labels: A label selector.
            limit: Objects of a page.
        """
        query: dict[str, Any] = {"limit": limit, **({"label_selector": labels} if labels else {})}
        while True:
            page = await self._call("get", path_of(version, kind, namespace), **query)
            for item in page.get("items") or []:
                yield {"apiVersion": version, "kind": kind, **item}
            token = page["metadata"].get("continue")
            if not token:
                return
            query["_continue"] = token

    async def children(self, namespace: str, job: str) -> list[Body]:
        """Everything with the job's label, except Secrets."""
        lists = await asyncio.gather(
            *(self.list_all(v, kind, namespace, f"{JOB}={job}") for kind, v in WATCHED.items())
        )
        return [body for bodies in lists for body in bodies]

    async def secrets(self, namespace: str, names: Iterable[str]) -> list[Body]:
        """The Secrets of these names that exist."""
        found = await asyncio.gather(*(self.get("v1", "Secret", namespace, name) for name in names))
        return [{"apiVersion": "v1", "kind": "Secret", **body} for body in found if body]

    async def create(self, body: Body) -> Body:
        """Creates an object; AlreadyExists (409) where there is one."""
        meta = body["metadata"]
        path = path_of(body["apiVersion"], body["kind"], meta["namespace"])
        return await self._call("post", path, body=body, field_manager=MANAGER)

    async def apply(self, body: Body) -> Body:
        """Server-side apply, as the one field manager of ours."""
        meta = body["metadata"]
        path = path_of(body["apiVersion"], body["kind"], meta["namespace"], meta["name"])
        return await self._apply(path, body)

    async def apply_status(self, job: Body, status: Body) -> Body:
        """Writes a job's status; Conflict (409) when the job has changed since it was read."""
        meta = {name: job["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": meta, "status": status}
        path = path_of(API_VERSION, KIND, meta["namespace"], meta["name"], "status")
        return await self._apply(path, body)

    async def delete(self, body: Body) -> Body | None:
        """Deletes the object that was observed and no later one of its name.

        Returns:
            The object while it is in its grace period; None where it is gone.
        """
        meta = body["metadata"]
        path = path_of(body["apiVersion"], body["kind"], meta["namespace"], meta["name"])
        options: Body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": meta["uid"]},
        }
        try:
            answer = await self._call("delete", path, body=options)
        except ApiError as error:
            if error.code == 409:
                # The name may belong to another object by now; else the object was not deleted.
                found = await self.get(
                    body["apiVersion"], body["kind"], meta["namespace"], meta["name"]
                )
                if found is not None and found["metadata"]["uid"] == meta["uid"]:
                    raise
            elif error.code != 404:
                raise
            return None
        return answer if answer.get("kind") == body["kind"] else None

    async def replace(self, body: Body) -> Body:
        """Replaces an object by one with its resourceVersion."""
        meta = body["metadata"]
        path = path_of(body["apiVersion"], body["kind"], meta["namespace"], meta["name"])
        return await self._call("put", path, body=body)

    async def proxy(self, namespace: str, pod: str, port: int, path: str, query: str) -> Body:
        """GET from a pod's port, through the API server: for an operator outside the cluster."""
        url = path_of("v1", "Pod", namespace, f"{pod}:{port}", f"proxy/{path}")
        # A long poll must not take a slot from other calls.
        # The pod runs the author's code: it must not fill the operator's memory.
        return await self._answer(
            "get", f"{url}?{query}", most=MOST_PROXIED, _request_timeout=TIMEOUT + 60
        )

    async def _apply(self, path: str, body: Body) -> Body:
        return await self._call(
            "patch",
            path,
            body=body,
            content_type="application/apply-patch+yaml",
            field_manager=MANAGER,
            force_conflicts=True,
        )

    async def _call(self, method: str, path: str, **options: Any) -> Body:
        async with self._slots:
            return await self._answer(method, path, **options)

    async def _answer(
        self, method: str, path: str, *, most: int | None = None, **options: Any
    ) -> Body:
        subject = f"{method.upper()} {path.partition('?')[0]}"
        code = 0
        options = {"_request_timeout": TIMEOUT, **options}
        try:
            if method != "get":
                options["_request_timeout"] = self._patience(subject)
            answer = await self._client.request(method, path, serialize=False, **options)
            code = int(answer.status)
            data = await (answer.read() if most is None else _bounded(answer, most, subject))
            found: Body = json.loads(data)
            return found
        except (DynamicApiError, ApiException) as error:
            code = int(error.status or 0)
            raise _api_error(subject, error.status, error.body, error.headers) from error
        except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError) as error:
            detail = f"no answer ({error!r}); the operator tries again"
            raise ApiError(subject, 0, "Unreachable", detail) from error
        finally:
            API_CALLS.labels(method.upper(), str(code)).inc()

    def may_act(self, subject: str) -> None:
        """Checks the lease before something outside the API server is changed, such as the store.

        Args:
            subject: What is about to be changed.

        Raises:
            ApiError: The lease has expired, so another operator may act.
        """
        self._patience(subject)

    def _patience(self, subject: str) -> float:
        """Seconds to wait for the answer to a call that changes something.

        Checked last, because a process that was frozen does not notice it.
        """
        left = self._left() if self._left is not None else TIMEOUT
        if left <= 0:
            detail = "the lease has expired and another operator may act, so nothing is sent"
            raise ApiError(subject, 0, "NotLeading", detail)
        return min(TIMEOUT, left)


async def _bounded(answer: Any, most: int, subject: str) -> bytes:
    """The whole body of an aiohttp response, if it has at most `most` bytes."""
    data = bytearray()
    async for piece in answer.content.iter_any():
        data += piece
        if len(data) > most:
            answer.close()
            detail = f"the answer has more than {most} bytes; see the pod's log"
            raise ApiError(subject, int(answer.status), "TooLarge", detail)
    return bytes(data)


def _api_error(subject: str, status: Any, body: Any, headers: Any) -> ApiError:
    try:
        found = json.loads(body)
    except (TypeError, ValueError):
        found = None
    answer = found if isinstance(found, dict) else {}
    detail = str(answer.get("message") or body or "no message")[:2000]
    after: str | None = None
    if isinstance(headers, Mapping):
        after = headers.get("Retry-After")
    wait = float(after) if after and after.replace(".", "", 1).isdigit() else None
    return ApiError(subject, int(status or 0), str(answer.get("reason") or "Unknown"), detail, wait)

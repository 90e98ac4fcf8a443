"""An API server for FederatedJobs in this process: real HTTP, and faults on demand."""

from __future__ import annotations

import copy
import json
import queue
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

JOBS = re.compile(
    r"/apis/fedjob\.dev/v1alpha1(?:/namespaces/(?P<namespace>[^/]+))?/federatedjobs"
    r"(?:/(?P<name>[^/]+))?$"
)
Body = dict[str, Any]


@dataclass
class Planned:
    """An answer in place of the real one."""

    code: int
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    method: str | None = None
    watch: bool | None = None


@dataclass(frozen=True)
class Asked:
    """A request that was received."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


def status_body(code: int, message: str, **details: Any) -> bytes:
    body = {"kind": "Status", "code": code, "message": message, "details": details}
    return json.dumps(body).encode()


class FakeApiServer:
    """FederatedJobs in memory, served over HTTP.

    Attributes:
        asked: Every request.
        planned: Answers that come before the real ones.
        tokens: If not empty, the bearer tokens that are accepted.
        routes: Answers of other paths: bytes, an object, or a function of the query.
        oldest: Watches from an earlier version get 410.
        page: Jobs of one list answer, whatever the limit.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.planned: list[Planned] = []
        self.tokens: set[str] = set()
        self.routes: dict[str, Any] = {}
        self.oldest = 0
        self.page = 500
        self.jobs: dict[tuple[str, str], Body] = {}
        self._version = 100
        self._watchers: list[queue.Queue[Body | None]] = []
        self._history: list[Body] = []
        self._lock = threading.RLock()

    def start(self, port: int = 0) -> None:
        server = self

        class Handler(_Handler):
            fake = server

        ThreadingHTTPServer.allow_reuse_address = True
        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.005}
        )
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self.cut()

    def cut(self) -> None:
        """Break every watch."""
        with self._lock:
            watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.put(None)

    @property
    def watching(self) -> int:
        return len(self._watchers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kubeconfig(self, folder: Path, token: str = "", namespace: str = "team") -> Path:
        """A kubeconfig with the contexts `fake` and `other`."""
        context = {"cluster": "c", "user": "u", "namespace": namespace}
        text = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "contexts": [
                {"name": "fake", "context": context},
                {"name": "other", "context": {"cluster": "c", "user": "u"}},
            ],
            "users": [{"name": "u", "user": {"token": token} if token else {}}],
        }
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(text))
        return path

    def plan(self, code: int, message: str = "planned", **more: Any) -> None:
        self.planned.append(Planned(code, message, **more))

    def put(
        self, name: str, namespace: str = "team", *, replace: bool = True, **parts: Any
    ) -> Body:
        """Create a job, or replace its parts (spec, status, metadata)."""
        with self._lock:
            old = self.jobs.get((namespace, name))
            body = copy.deepcopy(old) if old else {
                "apiVersion": "fedjob.dev/v1alpha1", "kind": "FederatedJob",
                "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{self._version}",
                             "creationTimestamp": "2026-01-02T03:04:05Z", "generation": 1},
                "spec": {"federation": {"numRounds": 5}},
            }  # fmt: skip
            before = json.dumps(body["spec"], sort_keys=True)
            for part, value in parts.items():
                body[part] = {**body.get(part, {}), **value} if part == "metadata" else value
            if old and json.dumps(body["spec"], sort_keys=True) != before:
                body["metadata"]["generation"] += 1
            self._store(body, "MODIFIED" if old else "ADDED")
            return body

    def remove(self, name: str, namespace: str = "team") -> None:
        with self._lock:
            body = self.jobs.pop((namespace, name))
            self._store(body, "DELETED")

    def compact(self) -> None:
        """Forget the history: watches from an older version get 410."""
        with self._lock:
            self._version += 10
            self.oldest = self._version
            self._history = []

    def _store(self, body: Body, kind: str) -> None:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        if kind != "DELETED":
            self.jobs[body["metadata"]["namespace"], body["metadata"]["name"]] = body
        event = {"type": kind, "object": copy.deepcopy(body)}
        self._history.append(event)
        for watcher in self._watchers:
            watcher.put(event)

    def watch(self, since: int) -> queue.Queue[Body | None]:
        with self._lock:
            watcher: queue.Queue[Body | None] = queue.Queue()
            for event in self._history:
                if int(event["object"]["metadata"]["resourceVersion"]) > since:
                    watcher.put(event)
            self._watchers.append(watcher)
            return watcher


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeApiServer
    wbufsize = 0

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def _answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _any(self) -> None:
        fake = self.fake
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        fake.asked.append(Asked(self.command, url.path, query, dict(self.headers), body))
        authorization = self.headers.get("Authorization", "")
        if fake.tokens and authorization.removeprefix("Bearer ") not in fake.tokens:
            return self._answer(401, status_body(401, "Unauthorized"))
        for planned in list(fake.planned):
            watch = "watch" in query
            if planned.method in (None, self.command) and planned.watch in (None, watch):
                planned.times -= 1
                if planned.times <= 0:
                    fake.planned.remove(planned)
                if planned.code == 0:
                    self.close_connection = True
                    return self.connection.shutdown(socket.SHUT_RDWR)
                message = status_body(planned.code, planned.message)
                return self._answer(planned.code, message, planned.headers)
        if url.path in fake.routes:
            found = fake.routes[url.path]
            found = found(query) if isinstance(found, Callable) else found  # type: ignore[arg-type]
            if isinstance(found, Planned):
                return self._answer(found.code, status_body(found.code, found.message))
            raw = found if isinstance(found, bytes) else json.dumps(found).encode()
            return self._answer(200, raw)
        match = JOBS.match(url.path)
        if match is None:
            return self._answer(404, b"404 page not found\n")
        return self._jobs(match["namespace"], match["name"], query, body)

    do_GET = do_PATCH = do_DELETE = do_POST = _any  # noqa: N815

    def _jobs(
        self, namespace: str | None, name: str | None, query: dict[str, str], body: Any
    ) -> None:
        fake = self.fake
        if name is None:
            return self._watch(namespace, query) if "watch" in query else self._list(
                namespace, query
            )  # fmt: skip
        key = (namespace or "", name)
        if self.command == "PATCH":
            apply = "apply-patch" in self.headers["Content-Type"]
            if key not in fake.jobs and not apply:
                return self._missing(name)
            with fake._lock:
                old = copy.deepcopy(fake.jobs.get(key, {}))
                changed = {
                    part: _merged(old.get(part, {}), body[part])
                    for part in ("metadata", "spec")
                    if part in body
                }
                found = fake.put(name, namespace or "", **changed)
            return self._answer(200, json.dumps(found).encode())
        if key not in fake.jobs:
            return self._missing(name)
        found = fake.jobs[key]
        if self.command == "DELETE":
            fake.remove(name, namespace or "")
        return self._answer(200, json.dumps(found).encode())

    def _missing(self, name: str) -> None:
        message = f'federatedjobs.fedjob.dev "{name}" not found'
        self._answer(404, status_body(404, message, name=name))

    def _list(self, namespace: str | None, query: dict[str, str]) -> None:
        fake = self.fake
        with fake._lock:
            chosen = [body for body in fake.jobs.values() if _selected(body, namespace, query)]
            first = int(query.get("continue", 0))
            meta = {"resourceVersion": str(fake._version)}
            if first + fake.page < len(chosen):
                meta["continue"] = str(first + fake.page)
            page = {"metadata": meta, "items": chosen[first : first + fake.page]}
            self._answer(200, json.dumps(page).encode())

    def _watch(self, namespace: str | None, query: dict[str, str]) -> None:
        fake = self.fake
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        since = int(query["resourceVersion"])
        if since < fake.oldest:
            status = json.loads(status_body(410, "too old resource version"))
            self._chunk({"type": "ERROR", "object": status})
            self.wfile.write(b"0\r\n\r\n")
            return
        watcher = fake.watch(since)
        self.close_connection = True
        while (event := watcher.get()) is not None:
            if _selected(event["object"], namespace, query):
                self._chunk(event)

    def _chunk(self, event: Body) -> None:
        line = json.dumps(event).encode() + b"\n"
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")


def _selected(body: Body, namespace: str | None, query: dict[str, str]) -> bool:
    name = query.get("fieldSelector", "").removeprefix("metadata.name=")
    meta = body["metadata"]
    return namespace in (None, meta["namespace"]) and name in ("", meta["name"])


def _merged(old: Any, new: Any) -> Any:
    """A JSON merge patch."""
    if not isinstance(new, dict):
        return new
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


@contextmanager
def fake_api_server() -> Iterator[FakeApiServer]:
    server = FakeApiServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()

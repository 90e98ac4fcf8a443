"""An API server of a few lines on loopback: one Lease, and set answers to any other call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "team", "uid": "mine"},
}


class Server:
    """Keeps one Lease by resourceVersion; other objects are as a test sets them.

    Attributes:
        lease: The stored Lease.
        writes: Methods of calls other than to the Lease that change something.
        calls: Method, path with query, and body of those calls and of reads.
        delays: Seconds until a call to the Lease is answered.
        answers: Status and text of the answer to any other call, by method; a list of them is used
            up one by one.
        headers: Headers of every such answer.
    """

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.writes: list[str] = []
        self.delays = 0.0
        self.calls: list[tuple[str, str, Any]] = []
        self.answers: dict[str, tuple[int, str] | list[tuple[int, str]]] = {}
        self.headers: dict[str, str] = {}
        self._version = 0

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one call."""
        body = await request.read()
        if "/leases" not in request.path:
            if request.method != "GET":
                self.writes.append(request.method)
            self.calls.append((request.method, request.path_qs, json.loads(body) if body else None))
            found = self.answers.get(request.method, (200, "{}"))
            status, text = found.pop(0) if isinstance(found, list) else found
            return web.Response(
                status=status, text=text, content_type="application/json", headers=self.headers
            )
        await asyncio.sleep(self.delays)
        if request.method == "GET":
            return self._answer(404 if self.lease is None else 200)
        given = json.loads(body)
        version = given["metadata"].get("resourceVersion")
        known = self.lease["metadata"]["resourceVersion"] if self.lease is not None else None
        if version != known:
            return self._answer(409)
        self._version += 1
        given["metadata"]["resourceVersion"] = str(self._version)
        self.lease = given
        return self._answer(200)

    def _answer(self, status: int) -> web.Response:
        return web.json_response(self.lease if status == 200 else {}, status=status)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Server, ApiClient]]:
    """A server, and a client that is connected to it."""
    server = Server()
    runner = web.ServerRunner(web.Server(server.serve, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with ApiClient(Configuration(host=f"http://{host}:{port}")) as client:
            yield server, client
    finally:
        await runner.cleanup()


def run(body: Callable[[Server, ApiClient], Awaitable[None]]) -> None:
    """Runs a test against a server of its own."""

    async def main() -> None:
        async with asyncio.timeout(30), connected() as (server, client):
            await body(server, client)

    asyncio.run(main())

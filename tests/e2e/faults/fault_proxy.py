"""An HTTP proxy on loopback between one operator and the API server, which injects faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from typing import Any

import aiohttp
from aiohttp import web

from e2e.faults.api_faults import JOB_NAME, LEASE, SILENCE, Call, Fault, Mutation, Script, job_of


class Upstream:
    """The real API server, as the project's kubeconfig reaches it."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self.url = url
        self._tls = tls

    def session(self, *, raw: bool = False) -> aiohttp.ClientSession:
        """Connections to the API server; with `raw`, responses stay compressed."""
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        return aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=not raw)


class Proxy:
    """Forwards the calls of one operator to the API server.

    An operator that is killed is cut off, so its code reaches nothing, whatever it still tries.

    Args:
        script: Decides the faults.
        upstream: The API server.
        holder: The operator's name in `script.mutations`.
    """

    def __init__(self, script: Script, upstream: Upstream, holder: str = "") -> None:
        self.script, self.holder = script, holder
        self.url = ""
        self.watches = 0
        self.release = asyncio.Event()
        """Set: responses that were held are sent."""
        self.flows = asyncio.Event()
        """While cleared, no call of the operator gets through."""
        self.flows.set()
        self._upstream = upstream
        self.forgets = False
        """Watches get 410 Gone (resource version too old), so that the operator lists again."""
        self._dead = asyncio.Event()
        self._streams: list[asyncio.Event] = []

    async def __aenter__(self) -> Proxy:
        self._session = self._upstream.session(raw=True)
        self._runner = web.ServerRunner(
            web.Server(self._serve, access_log=None), shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        await self._runner.cleanup()
        await self._session.close()

    def cut(self) -> None:
        """Drops every call of this operator from now on."""
        self._dead.set()
        self.drop_watches()

    def drop_watches(self) -> None:
        """Ends every open watch, as a load balancer does."""
        for stream in self._streams:
            stream.set()
        self._streams.clear()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if self._dead.is_set():
            return self._hang_up(request)
        if request.query.get("watch") == "true":
            return await self._watch(request)
        job = job_of(request.path, request.query_string, body)
        time = asyncio.get_running_loop().time()
        call = Call(self.holder, request.method, request.path, time)
        fault = self.script.take(job, call)
        if not self.flows.is_set():
            await self._unless_dead(self.flows)
        if self._dead.is_set() or request.transport is None or request.transport.is_closing():
            return self._hang_up(request)
        refusal = _refusal(fault, request.method)
        if refusal is not None:
            return refusal
        if fault is Fault.KILLED_BEFORE:
            await self._dead.wait()
        if fault is Fault.SILENT:
            await asyncio.sleep(2 * SILENCE)
        if fault in (Fault.KILLED_BEFORE, Fault.SILENT, Fault.CLOSED):
            return self._hang_up(request)
        if request.method != "GET" and job != LEASE:
            mutation = Mutation(holder=self.holder, leader=self.script.leader, call=call.signature)
            self.script.mutations.append(mutation)
        answer, status, content = await self._forward(request, body)
        if job == LEASE and request.method != "GET" and status < 300:
            self.script.leader = json.loads(body)["spec"]["holderIdentity"]
        if fault is Fault.KILLED_AFTER:
            await self._dead.wait()
        if fault is Fault.HELD:
            await self._unless_dead(self.release)
        if fault in (Fault.KILLED_AFTER, Fault.LOST) or self._dead.is_set():
            return self._hang_up(request)
        if fault is Fault.GARBLED:
            content = content[: len(content) // 2]
        self.script.activity += job not in ("", LEASE)
        return web.Response(status=status, body=content, headers=answer)

    async def _unless_dead(self, event: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(e.wait()) for e in (event, self._dead)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()

    async def _forward(
        self, request: web.BaseRequest, body: bytes
    ) -> tuple[dict[str, str], int, bytes]:
        async with self._ask(request, body) as answer:
            content = await answer.read()
            kept = {
                name: answer.headers[name]
                for name in ("Content-Type", "Content-Encoding", "Retry-After")
                if name in answer.headers
            }
            return kept, answer.status, content

    def _ask(self, request: web.BaseRequest, body: bytes) -> Any:
        given = {
            name: request.headers[name]
            for name in ("Content-Type", "Accept")
            if name in request.headers
        }
        url = f"{self._upstream.url}{request.raw_path}"
        return self._session.request(request.method, url, data=body or None, headers=given)

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        ended = asyncio.Event()
        self._streams.append(ended)
        kind = request.path.rsplit("/", 1)[-1]
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if self.forgets:
            return web.Response(body=_GONE, content_type="application/json")
        async with self._ask(request, b"") as answer:
            if answer.status != 200:
                return web.Response(status=answer.status, body=await answer.read())
            await response.prepare(request)
            self.watches += 1
            copy = asyncio.ensure_future(self._copy(answer, response, kind))
            end = asyncio.ensure_future(ended.wait())
            try:
                await asyncio.wait({copy, end}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (copy, end):
                    task.cancel()
                await asyncio.gather(copy, end, return_exceptions=True)
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _copy(self, answer: Any, response: web.StreamResponse, kind: str) -> None:
        rest = b""
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if not self._is_lost(line, kind):
                        await response.write(line + b"\n")

    def _is_lost(self, line: bytes, kind: str) -> bool:
        event = json.loads(line)
        meta = event["object"].get("metadata") or {}
        job = JOB_NAME.match(str(meta.get("name") or ""))
        self.script.activity += job is not None
        return job is not None and self.script.drops(job.group(1), kind, event["type"])

    @staticmethod
    def _hang_up(request: web.BaseRequest) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)


_GONE = b"""{"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}\n"""


def _refusal(fault: Fault | None, method: str) -> web.Response | None:
    """The error response of the API server for a call that it refuses."""
    reason, headers = "", {}
    if fault is Fault.TOO_MANY:
        reason, headers = "TooManyRequests", {"Retry-After": "1"}
    elif fault is Fault.INTERNAL:
        reason = "InternalError"
    elif fault is Fault.CONFLICT:
        reason = "AlreadyExists" if method == "POST" else "Conflict"
    if fault is None or not reason:
        return None
    body = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": f"injected: {fault}", "reason": reason, "code": int(fault.value),
    }  # fmt: skip
    return web.json_response(body, status=int(fault.value), headers=headers)

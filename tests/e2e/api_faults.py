"""Faults between an operator and its API server: an HTTP proxy on loopback, and operators to kill.

An operator runs in a thread of this process, with a loop of its own: a fresh interpreter takes
seconds of a processor, and there are hundreds of cases. One proxy is one life of an operator: a
killed one reaches nothing any more, whatever its code still tries.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from fedjob_operator.main import Operator
from fedjob_operator.settings import read_settings

JOB_NAME = re.compile(r"(?<![a-z0-9-])(c[a-z]\d{3})(?=[^a-z0-9]|$)")
"""Of the jobs of these tests: it is how a call is told to be of a job."""
LISTED = ("pods", "secrets", "configmaps", "services", "networkpolicies", "federatedjobs")
LEASE = "lease"
"""Calls to the Lease count as those of a job of this name."""
SILENCE = 6.0
"""Seconds that an operator waits for an answer where one stays out, in place of 30."""


class Fault(StrEnum):
    """What becomes of a call."""

    KILLED_BEFORE = "killed before"
    """It is held, and never reaches the API server: the operator dies meanwhile."""
    KILLED_AFTER = "killed after"
    """It is carried out, and the operator dies before it hears of that."""
    TOO_MANY = "429"
    INTERNAL = "500"
    CONFLICT = "409"
    SILENT = "timeout"
    """It reaches nobody, and nobody answers."""
    CLOSED = "closed"
    """The connection is closed before the call is carried out."""
    LOST = "lost answer"
    """It is carried out, and the connection is closed before the answer."""
    GARBLED = "cut answer"
    """It is carried out, and half of the answer arrives."""
    HELD = "held answer"
    """It is carried out, and the answer comes when the test lets it."""


LAST_SECONDS = 5.0
GRAVEYARD: list[object] = []
REFUSALS = (Fault.TOO_MANY, Fault.INTERNAL, Fault.SILENT, Fault.CLOSED, Fault.CONFLICT)
"""What leaves the cluster as it was: the same call is made again, and meets the next of them."""
LOSSES = (Fault.LOST, Fault.GARBLED)
"""What was done, and the operator does not know."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operator, as it asked for it."""

    holder: str
    method: str
    path: str
    time: float

    @property
    def mutates(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"

    @property
    def signature(self) -> str:
        """Without the job's name, the start of a pod, and the words of an Event.

        Lists are one: those of a job's children are asked for at once, and come in any order.
        """
        if self.method == "GET" and self.path.rsplit("/", 1)[-1] in LISTED:
            return "GET a list"
        path = JOB_NAME.sub("JOB", self.path.partition("/namespaces/")[2].partition("/")[2])
        return f"{self.method} {re.sub(r'-r[0-9]+$|[.][0-9a-f]{16}$', '', path)}"


@dataclass(frozen=True, slots=True)
class Act:
    """A call that changed something of a job, as it reached the API server.

    Attributes:
        holder: Who made it.
        leader: Who held the lease then.
        call: What it was.
    """

    holder: str
    leader: str
    call: str


@dataclass(slots=True)
class Track:
    """The calls for one job since the present step began, and the faults that wait among them.

    Attributes:
        at: The number of the call that meets the first of the faults; the next meets the next.
        struck: The calls that met one.
        deaf: Kinds of objects with types of events that are not told; `*` is any.
        unheard: Events that were not told.
    """

    calls: list[Call] = field(default_factory=list)
    at: int = 0
    faults: tuple[Fault, ...] = ()
    struck: list[str] = field(default_factory=list)
    deaf: tuple[str, str] | None = None
    unheard: int = 0

    @property
    def signatures(self) -> set[str]:
        """The calls, without the job's name and the words of Events."""
        return {call.signature for call in self.calls}


class Script:
    """What happens to which call: one for all proxies of a test."""

    def __init__(self) -> None:
        self.tracks: dict[str, Track] = {}
        self.others: list[Call] = []
        self.activity = 0
        """Grows with whatever happens to a job."""
        self.leader = ""
        """Who holds the lease, as far as the API server has heard."""
        self.acts: list[Act] = []
        self.first: Fault | None = None
        """What the first of each of kopf's own calls meets."""
        self._met: set[tuple[str, str]] = set()

    def arm(self, job: str, at: int = 0, *faults: Fault) -> None:
        """Begins a step of a job: its calls are counted from 0, those from `at` on meet faults."""
        deaf = self.tracks[job].deaf if job in self.tracks else None
        self.tracks[job] = Track(at=at, faults=faults, deaf=deaf)

    def deafen(self, job: str, kind: str, event: str) -> None:
        """From now on, watches do not tell of these events of the job."""
        self.tracks.setdefault(job, Track()).deaf = (kind, event)

    def take(self, job: str, call: Call) -> Fault | None:
        """Counts a call; the fault that it meets."""
        if not job:
            self.others.append(call)
            known = (call.method, call.path) in self._met
            self._met.add((call.method, call.path))
            return None if known else self.first
        self.activity += job != LEASE
        track = self.tracks.setdefault(job, Track())
        number = len(track.calls)
        track.calls.append(call)
        if not track.at <= number < track.at + len(track.faults):
            return None
        track.struck.append(call.signature)
        return track.faults[number - track.at]

    def is_unheard(self, job: str, kind: str, event: str) -> bool:
        """Whether this event of a watch is lost."""
        track = self.tracks.get(job)
        if track is None or track.deaf is None:
            return False
        lost = track.deaf[0] in ("*", kind) and track.deaf[1] in ("*", event)
        track.unheard += lost
        return lost


def job_of(path: str, query: str, body: bytes) -> str:
    """The job that a call is about; empty where it is about none."""
    if "/leases" in path:
        return LEASE
    found = JOB_NAME.search(path) or JOB_NAME.search(unquote(query))
    if found is None and body:
        name = str(((json.loads(body) or {}).get("metadata") or {}).get("name") or "")
        found = JOB_NAME.match(name)
    return found.group(1) if found is not None else ""


class Upstream:
    """The real API server, as the project's kubeconfig reaches it."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self.url = url
        self._tls = tls

    def session(self, *, raw: bool = False) -> aiohttp.ClientSession:
        """Connections to it; `raw` ones pass compressed answers on as they are."""
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        return aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=not raw)


class Proxy:
    """Between one operator and the API server.

    Args:
        script: What goes wrong.
        upstream: The API server.
        holder: The operator's name in records.
    """

    def __init__(self, script: Script, upstream: Upstream, holder: str = "") -> None:
        self.script, self.holder = script, holder
        self.url = ""
        self.watches = 0
        self.let = asyncio.Event()
        """Lets answers go that were held."""
        self.flows = asyncio.Event()
        """While it is not set, nothing gets through: the operator's calls are frozen."""
        self.flows.set()
        self._upstream = upstream
        self.forgets = False
        """Watches that go on from a version are told that it is too old: they list anew."""
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
        """From now on, nothing of this operator reaches the API server."""
        self._dead.set()
        self.drop_watches()

    def drop_watches(self) -> None:
        """Ends every watch there is, as a load balancer does."""
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
            self.script.acts.append(Act(self.holder, self.script.leader, call.signature))
        answer, status, content = await self._forward(request, body)
        if job == LEASE and request.method != "GET" and status < 300:
            self.script.leader = json.loads(body)["spec"]["holderIdentity"]
        if fault is Fault.KILLED_AFTER:
            await self._dead.wait()
        if fault is Fault.HELD:
            await self._unless_dead(self.let)
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
        return job is not None and self.script.is_unheard(job.group(1), kind, event["type"])

    @staticmethod
    def _hang_up(request: web.BaseRequest) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)


_GONE = b"""{"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}\n"""


def _refusal(fault: Fault | None, method: str) -> web.Response | None:
    """The API server's own words for a call that it does not carry out."""
    reason, headers = "", {}
    if fault is Fault.TOO_MANY:
        reason, headers = "TooManyRequests", {"Retry-After": "1"}
    elif fault is Fault.INTERNAL:
        reason = "InternalError"
    elif fault is Fault.CONFLICT:
        reason = "AlreadyExists" if method == "POST" else "Conflict"
    if fault is None or not reason:
        return None
    told = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": f"injected: {fault}", "reason": reason, "code": int(fault.value),
    }  # fmt: skip
    return web.json_response(told, status=int(fault.value), headers=headers)


class Life:
    """One operator from its start to its end, whichever it is.

    Args:
        environment: Its settings.
        proxy: Its way to the API server.
    """

    def __init__(self, environment: dict[str, str], proxy: Proxy) -> None:
        self.proxy = proxy
        self.operator: Operator | None = None
        self.code: int | None = None
        self.error: BaseException | None = None
        self.told = False
        """Whether it was given a reason to end."""
        self._environment = environment
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="operator", daemon=True)
        self._thread.start()
        self._started.wait(30)

    def _main(self) -> None:
        loop = self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._run())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 (it is looked at by the test)
            self.error = error
        finally:
            self._started.set()
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=LAST_SECONDS))
            # What does not heed that is left as it is, and never runs again.
            GRAVEYARD.append((loop, asyncio.all_tasks(loop)))
            loop.close()

    async def _run(self) -> None:
        configuration = Configuration(host=self.proxy.url, connection_pool_maxsize=0)
        async with ApiClient(configuration) as client:
            settings = read_settings(self._environment)
            self.operator = Operator(settings, self._environment, client)
            self._task = asyncio.ensure_future(self.operator.run())
            self._started.set()
            self.code = await self._task

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def is_busy(self, seconds: float = 3.0) -> bool:
        """Whether something is under way, or due within so many seconds."""
        if self.operator is None:
            return True
        work, stages = self.operator._queue, self.operator._preparer
        soon = self._loop.time() + seconds
        due = [timer for timer in list(work._timers.values()) if timer.when() < soon]
        return bool(due or work._waiting or work._active or stages._tasks)

    def call(self, what: Callable[[], Any]) -> None:
        """Runs something in the operator's loop."""
        self._loop.call_soon_threadsafe(what)

    def freeze(self) -> threading.Event:
        """Stops its loop where it is, as a process that gets no processor; set: it goes on."""
        thaw = threading.Event()
        self.told = True
        self.call(thaw.wait)
        return thaw

    def kill(self) -> None:
        """Its calls reach nobody from here on; its tasks are broken off wherever they are."""
        self.told = True
        self.proxy.cut()

        def end() -> None:
            for task in asyncio.all_tasks():
                task.cancel()

        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self.call(end)

    async def join(self) -> None:
        """Waits until its thread is gone."""
        await asyncio.to_thread(self._thread.join)

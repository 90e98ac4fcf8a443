"""Who may act: the Lease and the calls it guards, against an API server of a few lines on loopback.

What the true API server makes of it is in tests/e2e/test_operator_faults.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from fedjob_operator.kube import leader_election as module
from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.kube.leader_election import Lease

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "team", "uid": "mine"},
}


class Server:
    """Keeps one Lease by resourceVersion; other objects are as a test sets them.

    Attributes:
        lease: As it is stored.
        writes: Calls other than to the Lease that would change something.
        delays: Seconds until a call to the Lease is answered.
        answers: To any other call, by method: status and text.
    """

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.writes: list[str] = []
        self.delays = 0.0
        self.answers: dict[str, tuple[int, str]] = {}
        self._version = 0

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if "/leases" not in request.path:
            if request.method != "GET":
                self.writes.append(request.method)
            status, text = self.answers.get(request.method, (200, "{}"))
            return web.Response(status=status, text=text, content_type="application/json")
        await asyncio.sleep(self.delays)
        if request.method == "GET":
            return self._told(404 if self.lease is None else 200)
        given = json.loads(body)
        version = given["metadata"].get("resourceVersion")
        known = self.lease["metadata"]["resourceVersion"] if self.lease is not None else None
        if version != known:
            return self._told(409)
        self._version += 1
        given["metadata"]["resourceVersion"] = str(self._version)
        self.lease = given
        return self._told(200)

    def _told(self, status: int) -> web.Response:
        return web.json_response(self.lease if status == 200 else {}, status=status)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Server, ApiClient]]:
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
    async def main() -> None:
        async with asyncio.timeout(30), connected() as (server, client):
            await body(server, client)

    asyncio.run(main())


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fraction of the true times."""
    for name, seconds in (
        ("LASTS_SECONDS", 2),
        ("RENEW_SECONDS", 0.2),
        ("RETRY_SECONDS", 0.1),
        ("ACTS_SECONDS", 1.2),
    ):
        monkeypatch.setattr(module, name, seconds)


def test_who_is_cut_off_sends_nothing_before_another_acts() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        one = Lease(Cluster(client), "system", "lease", "one")
        two = Lease(Cluster(client), "system", "lease", "two")
        guarded = Cluster(client, one.left)
        with pytest.raises(ApiError, match="NotLeading"):
            await guarded.create(POD)  # it was never had
        await one.acquire()
        await guarded.create(POD)
        server.delays = 3600.0  # of what `one` asks from here on, nothing is heard
        kept = asyncio.create_task(one.keep())
        await kept
        server.delays = 0.0
        assert one.left() <= 0
        with pytest.raises(ApiError, match="NotLeading"):
            await guarded.create(POD)
        assert server.lease is not None
        assert server.lease["spec"]["holderIdentity"] == "one"  # and yet nobody else acts
        assert server.writes == ["POST"]
        await two.acquire()
        assert two.left() > 0
        assert server.lease["spec"]["holderIdentity"] == "two"

    run(body)


def test_another_machines_clock_is_not_believed() -> None:
    """The holder's clock is an hour behind; its renewals are seen, so its lease is not free."""

    async def body(server: Server, client: ApiClient) -> None:
        one = Lease(Cluster(client), "system", "lease", "one")
        two = Lease(Cluster(client), "system", "lease", "two")
        await one.acquire()
        assert server.lease is not None
        server.lease["spec"]["renewTime"] = "2000-01-01T00:00:00.000000Z"
        waits = asyncio.create_task(two.acquire())
        kept = asyncio.create_task(one.keep())
        await asyncio.sleep(0.5)
        assert not waits.done()
        kept.cancel()
        await waits
        assert one.left() <= 0

    run(body)


def test_given_back_it_is_had_at_once() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        one = Lease(Cluster(client), "system", "lease", "one")
        await one.acquire()
        await one.release()
        assert server.lease is not None
        assert server.lease["spec"]["holderIdentity"] == ""
        assert await Lease(Cluster(client), "system", "lease", "two")._try()

    run(body)


@pytest.mark.parametrize(
    ("there", "raised"),
    [((404, "{}"), False), ((200, '{"metadata": {"uid": "anothers"}}'), False),
     ((200, '{"metadata": {"uid": "mine"}}'), True)],
    ids=["gone", "another's", "still there"],
)  # fmt: skip
def test_a_conflict_at_a_deletion_is_no_deletion(there: tuple[int, str], raised: bool) -> None:
    async def body(server: Server, client: ApiClient) -> None:
        server.answers = {"DELETE": (409, "{}"), "GET": there}
        if raised:
            with pytest.raises(ApiError) as caught:
                await Cluster(client).delete(POD)
            assert caught.value.code == 409
        else:
            assert await Cluster(client).delete(POD) is None

    run(body)


def test_half_an_answer_is_none() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        server.answers = {"GET": (200, '{"metadata": {"na')}
        with pytest.raises(ApiError, match="Unreachable"):
            await Cluster(client).get("v1", "Pod", "team", "p")

    run(body)

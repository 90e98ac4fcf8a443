"""Following a server's status."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from fedjob.protocol.server_status import ClientView, ServerStatus
from fedjob_operator.controller import status_poller as module
from fedjob_operator.controller.status_poller import Poller, SilentServerError, Target, significant
from fedjob_operator.kube.client import ApiError
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.observed import ServerView
from support.operator.samples import (
    DEFAULTS,
    NOW,
    a_job,
    a_status,
    resource,
)
from support.virtual_time import run_virtual


def test_heartbeats_and_sequences_alone_are_not_significant() -> None:
    view = ClientView(name="worker-0", shard="s0.zip", last_heartbeat=NOW)
    silent = ClientView(name="worker-1", shard="s1.zip")

    def at(second: float, **more: Any) -> Any:
        heartbeat = view.model_copy(update={"last_heartbeat": NOW + second})
        return significant(a_status(clients=[heartbeat, silent], **more))

    assert at(1, sequence=4) == at(4, sequence=9)
    assert at(1) != at(6)
    assert at(1) != at(1, completed=3)


KEY = ("team", "digits")
TARGET = Target(uid="uid-1", name="digits-server", ip="127.0.0.1")


class Answers:
    """A server's answers, through the API server's proxy: one after another, then none."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.queries: list[str] = []

    async def proxy(self, namespace: str, pod: str, port: int, path: str, query: str) -> Any:
        """The next answer."""
        self.queries.append(query)
        if not self.answers:
            await asyncio.sleep(3600)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def body_of(status: ServerStatus) -> Any:
    return json.loads(status.model_dump_json(by_alias=True))


def follow(answers: Answers, wakes: int) -> tuple[Cache, list[Any]]:
    """Follows a server until its job was woken so often, and every answer was asked for."""
    cache, woken = Cache(DEFAULTS), []
    cache.saw_job(resource(a_job()))

    async def main() -> None:
        proxy: Any = answers
        poller = Poller(proxy, cache, woken.append)
        poller.follow(KEY, TARGET)
        while len(woken) < wakes or answers.answers:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await poller.close()

    run_virtual(main())
    return cache, woken


def test_changed_status_is_cached_and_wakes_the_job() -> None:
    first, second = a_status(completed=1, sequence=1), a_status(completed=2, sequence=2)
    answers = Answers(body_of(first), body_of(second))
    cache, woken = follow(answers, 2)
    assert woken == [KEY, KEY]
    assert cache.observations(KEY).server == ServerView(pod="uid-1", status=second)
    assert answers.queries[:2] == ["wait=0", "since=1&wait=5"]


def test_status_that_differs_only_in_its_sequence_wakes_nothing() -> None:
    statuses = [a_status(completed=1, sequence=n) for n in range(3)]
    _, woken = follow(Answers(*map(body_of, statuses)), 1)
    assert woken == [KEY]


def test_server_that_does_not_answer_is_asked_from_the_start_again() -> None:
    error = ApiError("GET /proxy", 0, "Unreachable", "no answer")
    status = a_status(completed=1, sequence=7)
    answers = Answers(body_of(status), error, {"phase": "No such phase"}, body_of(status))
    _, woken = follow(answers, 1)
    assert answers.queries[:4] == ["wait=0", "since=7&wait=5", "wait=0", "wait=0"]
    assert woken == [KEY], "the same status again is not a change"


def test_one_server_is_followed_for_each_job() -> None:
    async def main() -> None:
        proxy: Any = Answers()
        poller = Poller(proxy, Cache(DEFAULTS), print)
        poller.follow(KEY, TARGET)
        (_, first) = poller._tasks[KEY]
        poller.follow(KEY, TARGET)
        assert poller._tasks[KEY][1] is first
        poller.follow(KEY, replace(TARGET, uid="uid-2"))
        assert poller._tasks[KEY][1] is not first
        poller.follow(KEY, None)
        assert not poller._tasks
        await asyncio.gather(first, return_exceptions=True)
        assert first.cancelled()
        await poller.close()

    run_virtual(main())


@pytest.mark.parametrize("code", [200, 500])
def test_pods_are_asked_directly_where_the_operator_is_in_the_cluster(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path_qs)
        return web.json_response(body_of(a_status(completed=1)), status=code)

    async def main() -> None:
        runner = web.ServerRunner(web.Server(serve, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        monkeypatch.setattr(module, "HTTP_PORT", runner.addresses[0][1])
        poller = Poller(None, Cache(DEFAULTS), print)
        try:
            if code == 200:
                assert (await poller._ask(KEY, TARGET, None)).completed == 1
            else:
                with pytest.raises(SilentServerError, match="answered 500; see its log"):
                    await poller._ask(KEY, TARGET, 3)
        finally:
            await runner.cleanup()
        with pytest.raises(SilentServerError, match="the operator asks again"):
            await poller._ask(KEY, replace(TARGET, ip="::1"), None)
        await poller.close()

    asyncio.run(main())
    assert asked == ["/status?wait=0" if code == 200 else "/status?since=3&wait=5"]


@pytest.mark.parametrize("attack", ["redirect", "endless", "dripping"])
def test_server_sends_the_operator_nowhere_and_fills_no_memory(
    attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        if attack == "redirect":
            raise web.HTTPFound("/metadata")
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await answer.write(b" " if attack == "dripping" else b" " * (1 << 16))
                if attack == "dripping":
                    await asyncio.sleep(0.05)
        return answer

    async def main() -> None:
        runner = web.ServerRunner(web.Server(serve, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        monkeypatch.setattr(module, "HTTP_PORT", runner.addresses[0][1])
        if attack == "dripping":
            monkeypatch.setattr(module, "WHOLE_SECONDS", 0.3)
        poller = Poller(None, Cache(DEFAULTS), print)
        messages = {
            "redirect": "answered 302",
            "endless": "more than 4194304 bytes",
            "dripping": "no whole answer within 0.3 s|TimeoutError",
        }
        with pytest.raises(SilentServerError, match=messages[attack]):
            await poller._ask(KEY, TARGET, None)
        await poller.close()
        await runner.cleanup()

    asyncio.run(main())
    assert asked == ["/status"]


def test_pauses_bound_the_cost_of_a_server() -> None:
    moments: list[float] = []

    class Changing:
        """A server whose status changes all the time, and that is silent once."""

        async def proxy(self, *_: Any) -> Any:
            """The next status."""
            moments.append(asyncio.get_running_loop().time())
            if len(moments) == 3:
                raise ApiError("GET /proxy", 0, "Unreachable", "no answer")
            return body_of(a_status(completed=1, sequence=len(moments)))

    async def main() -> None:
        proxy: Any = Changing()
        poller = Poller(proxy, Cache(DEFAULTS), lambda _: None)
        poller._cache.saw_job(resource(a_job()))
        poller.follow(KEY, TARGET)
        while len(moments) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await poller.close()

    run_virtual(main())
    pause, retry = module.PAUSE_SECONDS, module.RETRY_SECONDS
    assert moments == pytest.approx([0.0, pause, 2 * pause, 2 * pause + retry])


def test_poll_ends_within_ten_seconds_also_through_the_api_server() -> None:
    """The wait that the server is asked for leaves time to answer."""
    assert module.WAIT_SECONDS < module.WHOLE_SECONDS <= 10

    async def main() -> None:
        cluster: Any = Answers()
        poller = Poller(cluster, Cache(DEFAULTS), print)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(SilentServerError, match="no whole answer within 10 s"):
            await poller._ask(KEY, TARGET, None)
        assert loop.time() - began == module.WHOLE_SECONDS

    run_virtual(main())

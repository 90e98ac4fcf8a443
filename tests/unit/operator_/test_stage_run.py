"""A run of a stage: what its threads wait for ends with it."""

from __future__ import annotations

import asyncio
import socket
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from fedjob.protocol.config import StoreLocation
from fedjob.storage.bucket import Bucket
from fedjob.storage.credentials import Credentials
from fedjob_operator.stage_run import (
    RunEndedError,
    StageRun,
    in_same_run,
    run_blocking,
    thread_run,
)
from support.operator.dripping_store import DrippingStore, dripping_store, until


def threads_of(run: StageRun) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == run.name]


def end_while_it_waits(store: DrippingStore, call: Callable[[], object]) -> BaseException | None:
    """The error of `call`, which waits for the store, when its run is ended."""

    async def main() -> BaseException | None:
        run = StageRun("test: drip")
        run.enter()
        task = asyncio.create_task(run.run(call))
        await asyncio.to_thread(store.asked.wait)
        assert len(threads_of(run)) == 1
        run.end()
        await asyncio.wait([task])
        await until(lambda: not threads_of(run))
        return task.exception()

    return asyncio.run(main())


def s3_head(url: str) -> Callable[[], object]:
    location = StoreLocation(endpoint=url, bucket="jobs")
    return lambda: Bucket(location, Credentials("k", "s"), attempts=3).head("key")


def registry_get(url: str) -> Callable[[], object]:
    return lambda: requests.get(url, timeout=60)


def plain_get(url: str) -> Callable[[], object]:
    return lambda: urllib.request.urlopen(url, timeout=60)  # noqa: S310


@pytest.mark.parametrize("client", [s3_head, registry_get, plain_get])
def test_waiting_for_a_dripping_peer_ends_with_the_run(
    client: Callable[[str], Callable[[], object]],
) -> None:
    with dripping_store() as store:
        assert end_while_it_waits(store, client(store.url)) is not None
        store.wait_until_closed()


def test_ended_run_connects_to_nothing() -> None:
    refused: list[RunEndedError] = []

    def call() -> None:
        entered.set()
        ended.wait()
        try:
            socket.create_connection(address)
        except RunEndedError as error:
            refused.append(error)

    async def main() -> None:
        run = StageRun("test: retries")
        run.enter()
        task = asyncio.create_task(run.run(call))
        await asyncio.to_thread(entered.wait)
        run.end()
        ended.set()
        await asyncio.wait([task])

    entered, ended = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        asyncio.run(main())
    assert len(refused) == 1


def test_connection_in_a_pool_belongs_to_the_run_that_used_it_last() -> None:
    """The end of the run that opened it must not break another's request."""

    async def main() -> None:
        session = requests.Session()
        first, second = StageRun("test: first"), StageRun("test: second")
        first.enter()
        await first.run(lambda: session.get(f"{url}/now").content)
        second.enter()
        task = asyncio.create_task(second.run(lambda: session.get(f"{url}/later").content))
        await asyncio.to_thread(asked.wait)
        first.end()
        release.set()
        assert await task == b"ok"
        session.close()

    asked, release = threading.Event(), threading.Event()
    peers: set[object] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            peers.add(self.client_address)
            if self.path == "/later":
                asked.set()
                release.wait()
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        asyncio.run(main())
        server.shutdown()
    assert len(peers) == 1


def test_threads_of_a_pool_work_for_the_same_run() -> None:
    def call() -> list[StageRun | None]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(in_same_run(lambda _: thread_run()), range(2)))

    async def main() -> None:
        run = StageRun("test: pool")
        run.enter()
        assert await run_blocking(call) == [run, run]

    asyncio.run(main())


def test_ended_run_starts_no_thread() -> None:
    async def main() -> None:
        run = StageRun("test: ended")
        run.enter()
        run.end()
        with pytest.raises(RunEndedError, match="test: ended"):
            await run_blocking(lambda: None)

    asyncio.run(main())


def test_end_closes_what_is_no_socket() -> None:
    closed = threading.Event()

    def call() -> None:
        run = thread_run()
        assert run is not None
        with run.closing(closed.set):
            entered.set()
            closed.wait()

    async def main() -> None:
        run = StageRun("test: closer")
        run.enter()
        task = asyncio.create_task(run.run(call))
        await asyncio.to_thread(entered.wait)
        run.end()
        await asyncio.wait([task])

    entered = threading.Event()
    asyncio.run(main())
    assert closed.is_set()


def test_when_done_waits_for_the_last_thread() -> None:
    async def main() -> None:
        run, done, release = StageRun("test: done"), threading.Event(), threading.Event()
        run.enter()
        task = asyncio.create_task(run.run(release.wait))
        await until(lambda: bool(threads_of(run)))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        run.when_done(done.set)
        assert not done.is_set()
        release.set()
        await asyncio.to_thread(done.wait)
        again = threading.Event()
        run.when_done(again.set)
        assert again.is_set()

    asyncio.run(main())


def test_without_a_run_the_loop_s_threads_do_the_work() -> None:
    async def main() -> StageRun | None:
        return await run_blocking(thread_run)

    assert asyncio.run(main()) is None

"""The tunnel copies both directions to one address, and ends what is idle or too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from fedjob_operator import tunnel as module
from fedjob_operator.tunnel import Tunnel

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers in capitals once the client has ended."""
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()


@asynccontextmanager
async def opened(handler: Handler) -> AsyncIterator[asyncio.Server]:
    """The tunnel to a store with this handler."""
    async with (
        await asyncio.start_server(handler, "127.0.0.1", 0) as store,
        await Tunnel("127.0.0.1", port_of(store)).listen(0) as server,
    ):
        yield server


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def ask(server: asyncio.Server, data: bytes) -> bytes:
    """What comes back until the connection is closed or reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    try:
        writer.write(data)
        writer.write_eof()
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def test_both_directions_arrive_whole_with_their_end() -> None:
    async def run() -> None:
        async with opened(shout) as server:
            data = b"abc" * 1_000_000
            answers = await asyncio.gather(*(ask(server, data) for _ in range(5)))
            assert set(answers) == {data.upper()}

    asyncio.run(run())


def test_it_listens_on_loopback_only() -> None:
    async def run() -> None:
        async with opened(shout) as server:
            assert [s.getsockname()[0] for s in server.sockets] == ["127.0.0.1"]

    asyncio.run(run())


def test_a_store_that_does_not_answer_ends_the_connection() -> None:
    async def run() -> None:
        async with await Tunnel("127.0.0.1", 1).listen(0) as server:
            assert await ask(server, b"x") == b""

    asyncio.run(run())


def test_idle_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.05)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def run() -> None:
        async with opened(silent) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
            assert await reader.read() == b""
            await closed(writer)

    asyncio.run(run())


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 2)

    async def run() -> None:
        async with opened(shout) as server:
            waiting = [
                await asyncio.open_connection("127.0.0.1", port_of(server)) for _ in range(2)
            ]
            for _, writer in waiting:
                writer.write(b"y")
                await writer.drain()
            assert await ask(server, b"x") == b""
            for reader, writer in waiting:
                writer.write_eof()
                assert await reader.read() == b"Y"
                await closed(writer)
            answer = b""
            while not answer:  # until both have been noticed to be over
                answer = await ask(server, b"z")
            assert answer == b"Z"

    asyncio.run(run())


def test_probes_are_answered() -> None:
    async def run() -> None:
        async with await asyncio.start_server(module._healthy, "127.0.0.1", 0) as server:
            answer = await ask(server, b"GET /healthz HTTP/1.1\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 OK")

    asyncio.run(run())

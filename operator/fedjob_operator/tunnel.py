"""Forwards TCP connections to one address: the pod to which clients outside a cluster port-forward.

A port-forward reaches every port on a pod's loopback, whatever NetworkPolicies say. SeaweedFS
listens there without authentication, so clients never forward to the store's own pod, but to this
one: nothing listens in it except this program, and it connects to nothing but the store's S3 port.
Only the standard library: the pod holds no keys and no token.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

MOST_CONNECTIONS = 256
"""Connections at once; further ones are closed, and clients try again."""
IDLE_SECONDS = 600.0
"""A connection on which nothing moves for this long is closed."""
CHUNK = 256 * 1024
"""Bytes in memory for each direction of a connection."""
_HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


class Tunnel:
    """A listener whose connections all lead to one address.

    Args:
        host: The address to connect to.
        port: Its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._open = 0

    async def listen(self, port: int) -> asyncio.Server:
        """Begins to forward what connects to `port` on loopback; 0 takes a free one."""
        return await asyncio.start_server(self._forward, "127.0.0.1", port, limit=CHUNK)

    async def _forward(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        if self._open >= MOST_CONNECTIONS:
            back.close()
            return
        self._open += 1
        forth: asyncio.StreamWriter | None = None
        try:
            far, forth = await asyncio.open_connection(self._host, self._port, limit=CHUNK)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(near, forth))
                group.create_task(_pump(far, back))
        except* OSError:
            pass  # either side ended, was idle, or the store does not answer: the client sees it
        finally:
            self._open -= 1
            for writer in (back, forth):
                if writer is not None:
                    writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies until the end of the stream, and passes the end on."""
    while data := await asyncio.wait_for(reader.read(CHUNK), IDLE_SECONDS):
        writer.write(data)
        await asyncio.wait_for(writer.drain(), IDLE_SECONDS)
    if writer.can_write_eof():
        writer.write_eof()


async def _healthy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers probes of the kubelet: a blocked event loop does not."""
    try:
        await asyncio.wait_for(reader.readline(), 5)
        writer.write(_HEALTHY)
        await writer.drain()
    except (OSError, ValueError):
        pass
    finally:
        writer.close()


async def serve(port: int, health_port: int, host: str, target_port: int) -> None:
    """Forwards until SIGTERM.

    Args:
        port: On loopback, where port-forwards arrive.
        health_port: On every address, for probes.
        host: The store.
        target_port: Its S3 port.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tunnel = await Tunnel(host, target_port).listen(port)
    health = await asyncio.start_server(_healthy, "0.0.0.0", health_port)  # noqa: S104 (probes)
    await stop.wait()
    for server in (tunnel, health):
        server.close()


def main() -> int:
    """`python -m fedjob_operator.tunnel PORT HEALTH_PORT HOST:PORT`."""
    parser = argparse.ArgumentParser(description="Forwards TCP connections to one address.")
    parser.add_argument("port", type=int)
    parser.add_argument("health_port", type=int)
    parser.add_argument("target", help="host:port")
    given = parser.parse_args()
    host, _, port = given.target.rpartition(":")
    asyncio.run(serve(given.port, given.health_port, host, int(port)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

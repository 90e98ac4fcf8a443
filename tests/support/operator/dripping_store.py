"""An HTTP server that accepts everything and sends one byte of an answer every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BEGIN = b"HTTP/1.1 200 OK\r\nX-Padding: "


@dataclass
class DrippingStore:
    """The server; each connection gets the head of an answer that never ends.

    Attributes:
        url: Its address.
        interval: Seconds between two bytes.
        connections: Open connections, as far as the server knows.
        asked: Set once a request has arrived.
    """

    url: str
    interval: float
    connections: list[socket.socket] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, count: int) -> None:
        """Waits until `count` connections are open."""
        while len(self.connections) < count:
            time.sleep(0.01)

    def wait_until_closed(self) -> None:
        """Waits until the clients have closed all connections."""
        while self.connections:
            time.sleep(0.01)


@contextlib.contextmanager
def dripping_store(interval: float = 5.0) -> Iterator[DrippingStore]:
    """Serves until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        store = DrippingStore(f"http://127.0.0.1:{listener.getsockname()[1]}", interval)

        def serve(connection: socket.socket) -> None:
            stopped = threading.Event()

            def drip() -> None:
                with contextlib.suppress(OSError):
                    connection.sendall(BEGIN)
                    while not stopped.wait(interval):
                        connection.sendall(b"x")

            sender = threading.Thread(target=drip, daemon=True, name="drip")
            with connection, contextlib.suppress(OSError):
                sender.start()
                while connection.recv(65536):
                    store.asked.set()
            stopped.set()
            store.connections.remove(connection)
            sender.join()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    store.connections.append(connection)
                    threading.Thread(
                        target=serve, args=(connection,), daemon=True, name="drip"
                    ).start()

        threading.Thread(target=accept, daemon=True, name="drip").start()
        yield store
        for connection in list(store.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        listener.shutdown(socket.SHUT_RDWR)


async def until(holds: Callable[[], bool]) -> None:
    """Waits for what no event reports, such as the end of a thread."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.01)

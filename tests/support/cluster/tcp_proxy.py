"""A TCP proxy in this process that holds, corrupts or cuts what passes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class TcpProxy:
    """Forwards connections to a server.

    Attributes:
        sent: Bytes from clients to the server so far.
        hold_after: Bytes from clients after which nothing passes; None: everything does.
        flip_at: Position, counted over all clients, of a byte to change once; None: none.
        cut_after: Bytes from the server of one connection after which it is cut, once; None: never.
        down: Whether new connections are closed at once.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self.sent = 0
        self.hold_after: int | None = None
        self.flip_at: int | None = None
        self.cut_after: int | None = None
        self.down = False
        self._lock = threading.Lock()
        self._free = threading.Event()
        self._free.set()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, after: int) -> None:
        """Let this many bytes more pass from clients, then none until `release`."""
        with self._lock:
            self.hold_after = self.sent + after

    def release(self) -> None:
        with self._lock:
            self.hold_after = None
        self._free.set()

    def cut(self) -> None:
        """Break every connection."""
        self._end(*list(self._sockets))

    def close(self) -> None:
        self._closed = True
        self._free.set()
        for each in [self._listener, *self._sockets]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                if self.down:
                    self._end(client)
                    continue
                server = socket.create_connection(self._target)
                self._sockets.append(server)
            except OSError:
                return
            for work in (self._upward, self._downward):
                threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _upward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                data = self._counted(data)
                self._free.wait()
                server.sendall(data)
        self._end(client, server)

    def _counted(self, data: bytes) -> bytes:
        with self._lock:
            first, self.sent = self.sent, self.sent + len(data)
            if self.hold_after is not None and self.sent > self.hold_after:
                self._free.clear()
            at = self.flip_at
            if at is not None and first <= at < self.sent:
                self.flip_at = None
                index = at - first
                return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]
        return data

    def _downward(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while data := server.recv(65536):
                passed += len(data)
                with self._lock:
                    cut = self.cut_after is not None and passed > self.cut_after
                    if cut:
                        self.cut_after = None
                if cut:
                    break
                client.sendall(data)
        self._end(client, server)

    def _end(self, *sockets: socket.socket) -> None:
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @property
    def holding(self) -> bool:
        return not self._free.is_set()


@contextmanager
def tcp_proxy(url: str) -> Iterator[TcpProxy]:
    proxy = TcpProxy(url)
    try:
        yield proxy
    finally:
        proxy.close()

"""The API server's port-forward to a pod that echoes, over WebSockets, in this process."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class FakePortForward:
    """Echoes what each forwarded connection sends.

    Attributes:
        refuse: Statuses with which the next WebSockets are refused.
        paths: What was asked for.
        cut_after: Bytes after which a connection breaks; 0: never.
        error: Sent on the error channel in place of an echo.
    """

    def __init__(self) -> None:
        self.refuse: list[int] = []
        self.paths: list[str] = []
        self.tokens: list[str] = []
        self.cut_after = 0
        self.error = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError), connection.makefile("rb") as stream:
            path = stream.readline().split()[1].decode()
            self.paths.append(path)
            headers = {}
            while (line := stream.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                headers[name.strip().lower()] = value.strip()
            self.tokens.append(headers.get(b"authorization", b"").decode())
            if self.refuse:
                code = self.refuse.pop(0)
                body = b'{"message": "refused"}'
                head = f"HTTP/1.1 {code} No\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                connection.sendall(head + body)
                return
            accept = base64.b64encode(_sha1(headers[b"sec-websocket-key"] + _MAGIC))
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            for channel in (0, 1):
                connection.sendall(_frame(bytes([channel]) + struct.pack("<H", 8333)))
            if self.error:
                connection.sendall(_frame(b"\x01" + self.error))
            seen = 0
            while (data := _read(stream)) is not None:
                seen += len(data)
                if self.cut_after and seen > self.cut_after:
                    return
                connection.sendall(_frame(data))


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _frame(data: bytes) -> bytes:
    size = len(data)
    if size < 126:
        return bytes([0x82, size]) + data
    if size < 65536:
        return bytes([0x82, 126]) + struct.pack(">H", size) + data
    return bytes([0x82, 127]) + struct.pack(">Q", size) + data


def _read(stream) -> bytes | None:  # type: ignore[no-untyped-def]
    head = stream.read(2)
    if len(head) < 2 or head[0] & 15 == 8:
        return None
    size = head[1] & 127
    if size == 126:
        (size,) = struct.unpack(">H", stream.read(2))
    elif size == 127:
        (size,) = struct.unpack(">Q", stream.read(8))
    mask = stream.read(4)
    data = stream.read(size)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


@contextmanager
def fake_port_forward() -> Iterator[FakePortForward]:
    server = FakePortForward()
    try:
        yield server
    finally:
        server.stop()

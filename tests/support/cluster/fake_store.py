"""An object store over HTTP in this process, for presigned requests; faults on demand."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Content = dict[str, bytes]


@dataclass
class StoreFault:
    """What happens in place of the next request to a path.

    Attributes:
        code: The answer; 0 breaks the connection.
        body: Of the answer.
        after: Bytes of the object that are sent before the connection breaks; None: none.
        times: Requests that it happens to.
    """

    path: str
    code: int = 0
    body: bytes = b""
    after: int | None = None
    times: int = 1
    flip: bool = False


@dataclass
class FakeStore:
    """Objects by path; a part of a file is the object `<path>.<part>`.

    Attributes:
        asked: Method, path and Range of every request.
        hosts: The Host headers.
        most: Requests that were under way at once.
        refused: Requests whose signature was not accepted.
    """

    objects: Content = field(default_factory=dict)
    faults: list[StoreFault] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    valid: set[str] = field(default_factory=lambda: {"1"})
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    now: int = 0
    most: int = 0
    refused: int = 0

    def start(self) -> None:
        store = self

        class Handler(_Handler):
            fake = store

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.005}
        )
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def url(self, path: str, signature: str = "1") -> str:
        """A presigned URL; it is accepted while its signature is in `valid`."""
        return f"http://127.0.0.1:{self.port}/bucket/{path}?signature={signature}"

    def etag(self, path: str) -> str:
        return f'"{hashlib.md5(self.objects[path], usedforsecurity=False).hexdigest()}"'

    def taken(self, path: str) -> StoreFault | None:
        with self._lock:
            for fault in self.faults:
                if fault.path == path:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.faults.remove(fault)
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeStore

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def _answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _break(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def _any(self) -> None:
        fake, url = self.fake, urlsplit(self.path)
        path = url.path.removeprefix("/bucket/")
        with fake._lock:
            fake.asked.append((self.command, path, self.headers.get("Range", "")))
            fake.hosts.add(self.headers["Host"])
            fake.now += 1
            fake.most = max(fake.most, fake.now)
        try:
            self._serve(path, url.query)
        finally:
            with fake._lock:
                fake.now -= 1

    do_GET = do_PUT = _any  # noqa: N815

    def _serve(self, path: str, query: str) -> None:
        fake = self.fake
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if query.removeprefix("signature=") not in fake.valid:
            fake.refused += 1
            return self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        fault = fake.taken(path)
        if fault is not None and fault.flip:
            body = bytes([body[0] ^ 1]) + body[1:]
        elif fault is not None and fault.code:
            return self._answer(fault.code, fault.body)
        elif fault is not None and fault.after is None:
            return self._break()
        if self.command == "PUT":
            digest = hashlib.md5(body, usedforsecurity=False).digest()
            if self.headers["Content-MD5"] != base64.b64encode(digest).decode():
                return self._answer(400, b"<Error><Code>BadDigest</Code></Error>")
            fake.objects[path] = body
            return self._answer(200, ETag=fake.etag(path))
        if path not in fake.objects:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if self.headers.get("If-Match", fake.etag(path)) != fake.etag(path):
            return self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        data, code = fake.objects[path], 200
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match:
            data, code = data[int(match[1]) :], 206
        if fault is not None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: fault.after])
            return self._break()
        meta = {f"x-amz-meta-{k}": v for k, v in fake.metadata.get(path, {}).items()}
        return self._answer(code, data, ETag=fake.etag(path), **meta)


@contextmanager
def fake_store() -> Iterator[FakeStore]:
    store = FakeStore()
    store.start()
    try:
        yield store
    finally:
        store.stop()

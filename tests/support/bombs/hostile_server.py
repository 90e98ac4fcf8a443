"""An HTTP server whose answers have as many bytes as its test wants, without holding them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, Mapping[str, str], Iterable[bytes]]
"""Status, headers, and the body's pieces; without a Content-Length the connection's end ends it."""


@contextlib.contextmanager
def hostile_server(answer: Callable[[str, str], Answer]) -> Iterator[str]:
    """Serves on loopback; gives the URL.

    Args:
        answer: What method and path get.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            status, headers, pieces = answer(self.command, self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if self.command == "HEAD":
                return
            with contextlib.suppress(OSError):
                for piece in pieces:
                    self.wfile.write(piece)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def endless(piece: bytes, most: int = 1 << 40) -> Iterator[bytes]:
    """`piece` again and again, up to `most` bytes."""
    sent = 0
    while sent < most:
        yield piece
        sent += len(piece)

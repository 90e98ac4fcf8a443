"""Small HTTP servers on this machine that record what reaches them, and answer as an attacker."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class HostileServer:
    """A server that answers every request in the same way.

    Attributes:
        address: `host:port`, as pods of the cluster reach it.
        requests: Method, path and headers of every request, in order.
    """

    address: str
    requests: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """The path of every request."""
        return [path for _, path, _ in self.requests]


@contextlib.contextmanager
def hostile_server(
    host: str, code: int, headers: Mapping[str, str], body: bytes = b"{}"
) -> Iterator[HostileServer]:
    """Serves until the block ends.

    Args:
        host: The address to listen on.
        code: HTTP status of every answer.
        headers: Of every answer.
        body: Of every answer.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Requests are recorded, not printed."""

        def _answer(self) -> None:
            found.requests.append((self.command, self.path, dict(self.headers)))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._answer)

    with ThreadingHTTPServer((host, 0), Handler) as server:
        found = HostileServer(f"{host}:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()

"""The server's three HTTP paths: /status (long-poll), /metrics (Prometheus), /healthz."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CollectorRegistry, generate_latest

from fedjob_runtime.server.supervisor.status_store import StatusStore

LONGEST_WAIT = 60.0


class StatusServer:
    """Serves the status on a thread of its own.

    Args:
        store: The status that is served.
        registry: Metrics of the status.
        healthy: Whether the supervisor's loop makes progress.
        host: Address to listen on.
        port: TCP port; 0 takes a free one, see `port`.
    """

    def __init__(
        self,
        store: StatusStore,
        registry: CollectorRegistry,
        healthy: Callable[[], bool],
        host: str,
        port: int,
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 75  # an idle connection does not hold its thread for ever

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                if url.path == "/status":
                    self._status(parse_qs(url.query))
                elif url.path == "/metrics":
                    self._reply(200, "text/plain; version=0.0.4", generate_latest(registry))
                elif url.path == "/healthz":
                    ok = healthy()
                    self._reply(200 if ok else 503, "text/plain", b"ok\n" if ok else b"stuck\n")
                else:
                    self._reply(404, "text/plain", b"paths: /status /metrics /healthz\n")

            def _status(self, query: dict[str, list[str]]) -> None:
                try:
                    since = int(query.get("since", ["-1"])[0])
                    wait = min(float(query.get("wait", ["0"])[0]), LONGEST_WAIT)
                except ValueError:
                    self._reply(400, "text/plain", b"since is a whole number, wait is seconds\n")
                    return
                status = store.wait(since, wait)
                self._reply(200, "application/json", status.model_dump_json(by_alias=True).encode())

            def _reply(self, code: int, kind: str, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Polls are not logged."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A reader that closes its connection early is not an error."""

        self._server = Server((host, port), Handler)

    @property
    def port(self) -> int:
        """The port listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begins to serve."""
        threading.Thread(target=self._server.serve_forever, name="status", daemon=True).start()

    def stop(self) -> None:
        """Closes the port."""
        self._server.shutdown()
        self._server.server_close()

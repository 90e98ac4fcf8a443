"""The status of a server on this machine, read by a real HTTP client."""

import http.server
import threading

import pytest

from fedjob.engines.local.server_status import StatusFollower, fetch, read_file
from fedjob.protocol.server_status import ServerStatus


class Server:
    """Answers with what it is given, one after the other, then with the last one again."""

    def __init__(self):
        self.answers = []
        self.asked = []
        self.changed = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                code, body = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if len(outer.answers) == 1 and len(outer.asked) > 3:
                    outer.changed.wait(0.01)
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                """Quiet."""

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def body(**fields):
    return ServerStatus(**fields).model_dump_json(by_alias=True).encode()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


def test_status_is_read(server):
    server.answers = [(200, body(sequence=4, completed=2))]
    found = fetch(server.port)
    assert found is not None
    assert (found.sequence, found.completed) == (4, 2)
    assert server.asked == ["/status?wait=0"]


@pytest.mark.parametrize("answer", [(500, b""), (200, b"<html>"), (404, b"paths: /status")])
def test_anything_else_is_none(server, answer):
    server.answers = [answer]
    assert fetch(server.port) is None


def test_server_that_is_gone_is_none(server):
    server.close()
    assert fetch(server.port) is None


def test_follower_reports_each_status_once_and_survives_a_restart_of_the_server(server):
    server.answers = [
        (200, body(attempt=1, sequence=1)),
        (200, body(attempt=1, sequence=1)),
        (200, body(attempt=1, sequence=2)),
        (503, b""),
        (200, body(attempt=2, sequence=1)),
    ]
    seen, last = [], threading.Event()

    def on_change(status):
        seen.append((status.attempt, status.sequence))
        if status.attempt == 2:
            last.set()

    follower = StatusFollower(server.port, on_change)
    follower.start()
    assert last.wait(30)
    follower.stop()
    assert seen == [(1, 1), (1, 2), (2, 1)]
    assert "/status?since=1&wait=2" in server.asked


def test_status_file(tmp_path):
    path = tmp_path / "status.json"
    assert read_file(path) is None
    path.write_bytes(body(completed=3))
    assert read_file(path).completed == 3
    path.write_text("{")
    assert read_file(path) is None

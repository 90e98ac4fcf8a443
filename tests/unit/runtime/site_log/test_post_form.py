"""Posting by a presigned form: the file stands last, and no error shows the URL."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fedjob_runtime.site_log.post_form import form_body, post_form


class Store(HTTPServer):
    """Answers each POST with `code`."""

    code = 204
    body = b""
    kind = ""


class Handler(BaseHTTPRequestHandler):
    server: Store

    def do_POST(self) -> None:
        self.server.body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.kind = self.headers["Content-Type"]
        self.send_response(self.server.code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def store() -> Iterator[Store]:
    with Store(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def form(tmp_path: Path, store: Store) -> Path:
    file = tmp_path / "log-0.json"
    url = f"http://127.0.0.1:{store.server_port}/jobs?secret=1"
    file.write_text(json.dumps({"url": url, "fields": {"key": "a/0.log", "policy": "p=="}}))
    return file


def parts(kind: str, body: bytes) -> list[tuple[str, bytes]]:
    """Names and contents of a form's parts, in order, by the standard library's parser."""
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    return [
        (str(part.get_param("name", header="content-disposition")), part.get_payload(decode=True))
        for part in message.iter_parts()
    ]


def test_fields_come_before_the_file_and_bytes_stay_as_they_are(
    store: Store, tmp_path: Path
) -> None:
    data = bytes(range(256)) + b"\r\n--x\r\n"
    assert post_form(form(tmp_path, store), data)
    assert parts(store.kind, store.body) == [
        ("key", b"a/0.log"),
        ("policy", b"p=="),
        ("file", data),
    ]


def test_the_boundary_differs_each_time() -> None:
    assert form_body({}, b"x")[1] != form_body({}, b"x")[1]


@pytest.mark.parametrize("code", [400, 403, 500])
def test_a_refusal_is_an_error_without_the_url(store: Store, tmp_path: Path, code: int) -> None:
    store.code = code
    with pytest.raises(OSError, match=f"the store answered {code}") as caught:
        post_form(form(tmp_path, store), b"x")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"url": 1, "fields": {}}', '{"url": "file:///etc", "fields": {}}'],
)
def test_a_file_that_is_no_form_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "log-0.json"
    file.write_text(text)
    with pytest.raises(OSError, match=r"log-0\.json"):
        post_form(file, b"x")


def test_a_form_that_is_absent_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"log-1\.json"):
        post_form(tmp_path / "log-1.json", b"x")


def test_a_store_that_does_not_answer_is_an_error_without_the_url(tmp_path: Path) -> None:
    file = tmp_path / "log-0.json"
    file.write_text(json.dumps({"url": "http://127.0.0.1:1/?secret=1", "fields": {}}))
    with pytest.raises(OSError) as caught:  # noqa: PT011 (its text is the system's)
        post_form(file, b"x", timeout=1)
    assert "secret" not in str(caught.value)

"""Blobs that a registry serves from elsewhere: public addresses, each looked up once."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests

from fedjob_operator.image import public_download as module
from fedjob_operator.image.errors import RegistryNotAllowedError, RegistryUnreachableError
from fedjob_operator.image.public_download import get_public
from support.certificates import self_made


class Blob(BaseHTTPRequestHandler):
    """Answers with the Host header and the path."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.headers['Host']} {self.path}".encode())

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, str]]:
    certificate, key = self_made(tmp_path, "blobs.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), Blob)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, certificate.read_text()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    asked: list[str] = []

    def look_up(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]

    monkeypatch.setattr(module.socket, "getaddrinfo", look_up)
    return asked


def test_checked_address_is_the_one_connected_to_under_the_name(
    served: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, ca_pem = served
    monkeypatch.setattr(module, "is_public", lambda _: True)
    connect = socket.getaddrinfo
    monkeypatch.setattr(
        module,
        "_address",
        lambda host, _: {"blobs.test": "127.0.0.1", "other.test": "127.0.0.1"}[host],
    )
    with get_public(f"https://blobs.test:{port}/a?b=1", {}, ca_pem) as answer:
        assert answer.text == f"blobs.test:{port} /a?b=1"
    with pytest.raises(requests.exceptions.SSLError):
        get_public(f"https://other.test:{port}/a", {}, ca_pem)
    assert socket.getaddrinfo is connect


@pytest.mark.parametrize(
    "addresses", [("10.0.0.1",), ("8.8.8.8", "169.254.169.254"), ("::1",), ("100.64.0.1",)]
)
def test_name_with_an_address_that_is_not_public_is_refused(
    addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving_to(monkeypatch, *addresses)
    with pytest.raises(RegistryNotAllowedError, match="which is not public"):
        get_public("https://blobs.test/a", {})
    assert asked == ["blobs.test"]


@pytest.mark.parametrize("url", ["http://blobs.test/a", "ftp://blobs.test/a", "https:///a", "/a"])
def test_only_https_is_asked(url: str) -> None:
    with pytest.raises(RegistryNotAllowedError, match="redirects a blob there"):
        get_public(url, {})


def test_name_that_does_not_exist_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(module.socket, "getaddrinfo", fail)
    with pytest.raises(RegistryUnreachableError, match="cannot be resolved"):
        get_public("https://blobs.test/a", {})

"""Real registries and a real token server on loopback, for the other test_image_* modules.

The tests at the end are of these servers: that they refuse what they are meant to refuse.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from fedjob.engines.local.store.ports import Ports
from fedjob_operator.image import manifests as documents
from fedjob_operator.image.credentials import Credentials
from fedjob_operator.image.layer import sha256_digest
from fedjob_operator.image.reference import Reference
from fedjob_operator.image.registry_client import Repository
from fedjob_operator.image.registry_connection import Access
from support.certificates import begun, common_name, write_pair
from support.repository import ROOT

USER, PASSWORD = "pusher", "s3cret"
_BCRYPT = "$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK"
"""PASSWORD, hashed: the registry knows bcrypt only."""
_STARTS_WITHIN = 30.0


def registry_program() -> str:
    """Debian's docker-registry: installed, or unpacked into .cache, which needs no root."""
    own = ROOT / ".cache/docker-registry/usr/bin/docker-registry"
    found = shutil.which("docker-registry")
    if found:
        return found
    if not own.exists():
        own.parents[2].mkdir(parents=True, exist_ok=True)
        fetch = (
            "apt-get download -qq docker-registry ||"
            " { apt-get update -qq && apt-get download -qq docker-registry; };"
            " dpkg -x docker-registry_*.deb ."
        )
        subprocess.run(["bash", "-ec", fetch], cwd=own.parents[2], check=True, capture_output=True)
    return str(own)


class RegistryServer:
    """docker-registry as a process of its own."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        """Starts it; `sections` go over those of its config file."""
        folder.mkdir(parents=True)
        self.folder = folder
        self._ports = Ports()
        self.port = self._ports.take()
        self.name = f"127.0.0.1:{self.port}"
        http = {"addr": self.name, **sections.pop("http", {})}
        config = {
            "version": "0.1",
            "log": {"accesslog": {"disabled": False}, "level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
            "http": http,
            **sections,
        }
        (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
        self._tls = "tls" in http
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it on the same port and data."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [registry_program(), "serve", str(self.folder / "config.yml")],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _STARTS_WITHIN
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)

    def stop(self) -> None:
        """Kills it, as a node that goes away would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def requests(self) -> list[tuple[str, str, int]]:
        """Method, path and status of every request so far, from its access log."""
        text = (self.folder / "log").read_text()
        found = re.findall(r'\] "([A-Z]+) (\S+) HTTP/[0-9.]+" (\d{3}) ', text)
        return [(method, path, int(status)) for method, path, status in found]

    def __enter__(self) -> RegistryServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._ports.release()


def htpasswd(folder: Path) -> dict[str, Any]:
    """The config section for basic authentication."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(f"{USER}:{_BCRYPT}\n")
    return {"htpasswd": {"realm": "fedjob test", "path": str(folder / "htpasswd")}}


def docker_config(registry: str, username: str = USER, password: str = PASSWORD) -> str:
    """What a Secret of type kubernetes.io/dockerconfigjson holds."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    return json.dumps({"auths": {registry: {"auth": auth}}})


class Authority:
    """A CA made for the test, and a certificate for 127.0.0.1 signed by it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca = self._sign("fedjob test CA", ca_key, ca_key, ca=True)
        leaf = self._sign("127.0.0.1", key, ca_key, ca=False)
        self.pem = ca.public_bytes(serialization.Encoding.PEM).decode()
        self.certificate, self.key = write_pair(leaf, key, (folder / "tls.crt", folder / "tls.key"))

    @staticmethod
    def _sign(
        name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey, *, ca: bool
    ) -> x509.Certificate:
        parent = common_name("fedjob test CA")
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (
            begun(common_name(name), key.public_key(), issuer=parent)
            .add_extension(address, critical=False)
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .sign(issuer, hashes.SHA256())
        )


class TokenServer:
    """Bearer tokens by Docker's token protocol, signed for a real registry to verify.

    Anonymous callers get the right to pull; USER gets what it asks for. Nobody gets anything in
    repositories whose name begins with `locked`, and USER nothing where it begins with `public`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        unsigned = begun(common_name("token"), self._key.public_key())
        self._certificate = unsigned.sign(self._key, hashes.SHA256())
        self._bundle = folder / "token.crt"
        self._bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self.scopes: list[list[str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = server._answer(
                    parse_qs(urlsplit(self.path).query), self.headers.get("Authorization")
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def hosts(self) -> frozenset[str]:
        """Its host and port, as the operator's settings list them."""
        return frozenset({f"127.0.0.1:{self._http.server_port}"})

    def section(self) -> dict[str, Any]:
        """The registry's config section that trusts this server."""
        return {
            "token": {
                "realm": f"http://127.0.0.1:{self._http.server_port}/token",
                "service": "registry",
                "issuer": "fedjob-test",
                "rootcertbundle": str(self._bundle),
            }
        }

    def _answer(self, query: dict[str, list[str]], authorization: str | None) -> tuple[int, bytes]:
        ours = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if authorization is not None and authorization != f"Basic {ours}":
            return 401, b"{}"
        scopes = [one for scope in query.get("scope", []) for one in scope.split()]
        self.scopes.append(scopes)
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            may = set(actions.split(",")) & ({"pull", "push"} if authorization else {"pull"})
            closed = name.startswith("locked") or (authorization and name.startswith("public"))
            if not closed:
                access.append({"type": kind, "name": name, "actions": sorted(may)})
        return 200, json.dumps({"token": self._sign(access)}).encode()

    def _sign(self, access: list[dict[str, Any]]) -> str:
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        header = {"alg": "RS256", "typ": "JWT", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())
        claims = {
            "iss": "fedjob-test",
            "sub": USER,
            "aud": "registry",
            "iat": now - 10,
            "nbf": now - 10,
            "exp": now + 300,
            "jti": os.urandom(8).hex(),
            "access": access,
        }
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64url(signature)}"

    def __enter__(self) -> TokenServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class CuttingRelay:
    """Passes TCP on to a port, and cuts the connection once that many bytes have come back."""

    def __init__(self, port: int, after: int) -> None:
        self._port, self._left = port, after
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self.name = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                for source, sink, back in ((near, far, False), (far, near, True)):
                    thread = threading.Thread(target=self._pass, args=(source, sink, back))
                    self._threads.append(thread)
                    thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket, back: bool) -> None:
        with source:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    if back and self.cuts == 0:
                        self._left -= len(data)
                        if self._left < 0:
                            self.cuts = 1
                            break
                    sink.sendall(data)
            for end in (source, sink):  # wakes the thread of the other direction
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> CuttingRelay:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()


def repository(
    name: str,
    *,
    ca_pem: str | None = None,
    user: bool = False,
    insecure: bool = True,
    hosts: frozenset[str] = frozenset(),
) -> Repository:
    """Opens a repository as USER or as nobody."""
    access = Access(Credentials(USER, PASSWORD) if user else None, "", ca_pem, insecure, hosts)
    return Repository(Reference.parse(name, "test"), access)


def push_base(
    target: Repository,
    tag: str = "1",
    media_type: str = documents.OCI_MANIFEST,
    layers: int = 2,
    filler: int = 0,
) -> documents.Document:
    """A tiny image, from scratch: each layer one file, with `filler` bytes that do not compress."""
    docker = media_type == documents.DOCKER_MANIFEST
    diff_ids, descriptors = [], []
    for number in range(layers):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            content = f"{number} of {target.reference}".encode() * 1000 + os.urandom(filler)
            info = tarfile.TarInfo(f"base-{number}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        data = gzip.compress(stream.getvalue(), mtime=0)
        kind = "docker.image.rootfs.diff.tar.gzip" if docker else "oci.image.layer.v1.tar+gzip"
        descriptors.append(
            {
                "mediaType": f"application/vnd.{kind}",
                "size": len(data),
                "digest": target.push_blob(data),
            }
        )
        diff_ids.append(sha256_digest(stream.getvalue()))
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"User": "10001:10001", "Entrypoint": ["tini", "--"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": "test"}] * layers,
        }
    ).encode()
    kind = "docker.container.image.v1" if docker else "oci.image.config.v1"
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {
            "mediaType": f"application/vnd.{kind}+json",
            "size": len(config),
            "digest": target.push_blob(config),
        },
        "layers": descriptors,
    }
    document = documents.Document(media_type, json.dumps(manifest).encode())
    target.push_manifest(tag, document)
    return document


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RegistryServer, Authority]]:
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder)
    tls = {"certificate": str(authority.certificate), "key": str(authority.key)}
    with RegistryServer(folder / "r", http={"tls": tls}, auth=htpasswd(folder)) as server:
        yield server, authority


def test_the_secured_registry_wants_its_ca_and_its_user(
    secured: tuple[RegistryServer, Authority], tmp_path: Path
) -> None:
    server, authority = secured
    url = f"https://{server.name}/v2/"
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url, timeout=10)
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.pem)
    statuses = [
        requests.get(url, timeout=10, verify=str(ca), auth=auth).status_code
        for auth in (None, (USER, "wrong"), (USER, PASSWORD))
    ]
    assert statuses == [401, 401, 200]
    assert ssl.create_default_context(cadata=authority.pem).cert_store_stats()["x509_ca"] > 0


def test_the_token_registry_wants_a_token(tmp_path: Path) -> None:
    with (
        TokenServer(tmp_path / "t") as tokens,
        RegistryServer(tmp_path / "r", auth=tokens.section()) as server,
    ):
        answer = requests.get(f"http://{server.name}/v2/x/tags/list", timeout=10)
        assert answer.status_code == 401
        assert answer.headers["Www-Authenticate"].startswith("Bearer ")
        assert ("GET", "/v2/x/tags/list", 401) in server.requests()

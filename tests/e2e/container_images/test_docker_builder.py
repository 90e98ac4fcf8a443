"""Builder `docker` in the operator's pod, with a remote daemon and a registry with its own CA.

The daemon is this machine's, behind a port on kind's network. The registry is a process here that
serves HTTPS with a self-signed certificate, which daemon, nodes and operator are set up to trust.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import socketserver
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.chart import CHART, find_helm
from e2e.chart.release import PATIENCE, Release, get, kubectl, namespace, run
from e2e.cluster_access.docker_host import docker, gateway
from e2e.cluster_access.operator_deployment import pip_settings
from e2e.cluster_access.recorder import recorder, shard
from e2e.container_images.test_requirements import IMPORTS, PACKAGE
from integration.container_images.test_image_servers import RegistryServer
from support.certificates import self_made
from support.repository import ROOT

pytestmark = pytest.mark.e2e


class _Relay(socketserver.BaseRequestHandler):
    """Relays one connection to `target`."""

    server: _Forward

    def handle(self) -> None:
        family, address = self.server.target
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        with socket.socket(family) as onward:
            onward.connect(address)
            back = threading.Thread(target=_copy, args=(onward, self.request))
            back.start()
            _copy(self.request, onward)
            back.join()

    def finish(self) -> None:
        # The server closes the socket that it accepted, which TLS has replaced.
        self.request.close()


class _Forward(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, address: str, target: tuple[int, Any], tls: ssl.SSLContext | None) -> None:
        self.target, self.tls = target, tls
        super().__init__((address, 0), _Relay)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def forwarded(
    address: str, family: int, target: Any, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Forwards a port on kind's network to a socket of this machine; yields `address:port`."""
    with _Forward(address, (family, target), tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"{address}:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@dataclass
class Outside:
    """Registry and Docker daemon outside the cluster.

    Attributes:
        registry: `address:port` over HTTPS; a copy of the cluster's own registry.
        daemon: Value for DOCKER_HOST.
        ca: The registry's certificate, PEM.
        client: Folder with ca.pem, cert.pem and key.pem, without which the daemon answers nobody.
    """

    registry: str
    daemon: str
    ca: str
    client: Path


def daemon_tls(folder: Path, address: str) -> ssl.SSLContext:
    """TLS as the daemon asks for it; writes the client's three files into the folder."""
    for name in ("daemon", "client"):
        (folder / name).mkdir(parents=True)
    certificate, key = self_made(folder / "daemon", address)
    own, own_key = self_made(folder / "client", address)
    for source, name in ((certificate, "ca.pem"), (own, "cert.pem"), (own_key, "key.pem")):
        shutil.copy(source, folder / name)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(own))
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(certificate, key)
    return tls


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("outside")
    address = gateway()
    certificate, key = self_made(folder, address)
    https = {"tls": {"certificate": str(certificate), "key": str(key)}}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(RegistryServer(folder / "registry", http=https))
        stack.callback(shutil.rmtree, folder / "registry/data")  # a gigabyte
        docker("cp", "fedjob-registry:/var/lib/registry/.", str(folder / "registry/data"))
        name = stack.enter_context(forwarded(address, socket.AF_INET, ("127.0.0.1", server.port)))
        client = folder / "docker"
        tls = daemon_tls(client, address)
        daemon = stack.enter_context(
            forwarded(address, socket.AF_UNIX, "/var/run/docker.sock", tls)
        )
        ca = certificate.read_text()
        trusted = Path("/etc/docker/certs.d") / name
        trusted.mkdir(parents=True)
        stack.callback(shutil.rmtree, trusted)
        (trusted / "ca.crt").write_text(ca)
        stack.enter_context(trusting_nodes(name, ca))
        stack.callback(forget_images, name)
        yield Outside(name, f"tcp://{daemon}", ca, client)


def forget_images(registry: str) -> None:
    """Removes the daemon's copies of the registry's images."""
    listed = docker("image", "ls", "--digests", "--format", "{{.Repository}}@{{.Digest}}")
    mine = [line for line in listed.splitlines() if line.startswith(f"{registry}/")]
    if mine:
        docker("image", "rm", *mine)


@contextlib.contextmanager
def trusting_nodes(name: str, ca: str) -> Iterator[None]:
    """Makes containerd on every node trust the registry, by its hosts.toml."""
    nodes = [node["metadata"]["name"] for node in get("nodes")["items"]]
    folder = f"/etc/containerd/certs.d/{name}"
    hosts = f'[host."https://{name}"]\n  ca = "{folder}/ca.crt"\n'
    try:
        for node in nodes:
            docker("exec", node, "mkdir", "-p", folder)
            for file, text in (("ca.crt", ca), ("hosts.toml", hosts)):
                docker("exec", "-i", node, "tee", f"{folder}/{file}", given=text)
        yield
    finally:
        for node in nodes:
            docker("exec", node, "rm", "-rf", folder)


@pytest.fixture(scope="module")
def release(outside: Outside) -> Iterator[Release]:
    """The chart, set to use the outside daemon, and the outside registry for all images."""
    where = f"chart-{uuid.uuid4().hex[:6]}"
    values = {
        "imageRegistry": outside.registry,
        "namespaces": [where],
        "crds": {"install": False},
        "jobs": {"repository": f"{outside.registry}/jobs"},
        "builds": {
            "dockerHost": outside.daemon,
            "dockerTls": {"secretName": "docker"},
            "ca": {"configMap": "registry-ca"},
        },
        "operator": {
            "extraEnv": [{"name": key, "value": value} for key, value in pip_settings().items()]
        },
        "store": {"enabled": True, "persistence": {"enabled": False}},
    }
    release = Release("fedjob", where, where, values)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    namespace(where)
    kubectl(
        "create", "configmap", "registry-ca", f"--from-literal=ca.crt={outside.ca}", "-n", where
    )
    files = [f"--from-file={outside.client / name}" for name in ("ca.pem", "cert.pem", "key.pem")]
    kubectl("create", "secret", "generic", "docker", *files, "-n", where)
    try:
        release.helm("install", CHART)
        yield release
    finally:
        kubectl("delete", "fj", "--all", "-n", where, check=False)
        run(find_helm(), "uninstall", release.name, "-n", where, check=False)
        kubectl("delete", "namespace", where, "--wait=false")


def test_remote_daemon_builds_packages_into_the_image(release: Release, outside: Outside) -> None:
    name, where = "packages", release.jobs
    with release.s3() as client:
        key = f"jobs/{where}/{name}/shards/part-0.zip"
        client.put_object(Bucket="fedjob", Key=key, Body=shard(4))
    sections = recorder(1)
    sections["model"] = {
        "className": "Net",
        "source": {"inline": IMPORTS},
        "requirements": [PACKAGE],
    }
    body = {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": name, "namespace": where},
        "spec": {"workers": {"gpu": 0}, **sections},
    }
    for hit in (False, True):
        kubectl("apply", "-f", "-", stdin=json.dumps(body))
        status = wait_for_end(where, name)
        # model_def.py imports the package: without it no round could be trained.
        assert status["state"] == "Complete", status
        image = status["image"]
        assert image["cacheHit"] is hit
        assert image["reference"].startswith(f"{outside.registry}/jobs")
        assert image["reference"].endswith(f"@{image['digest']}")
        kubectl("delete", "fj", name, "-n", where, "--timeout=60s")


def wait_for_end(where: str, name: str) -> Any:
    """The job's status once it has ended, or after a timeout."""
    ends = time.monotonic() + 2 * PATIENCE
    while True:
        status = get("federatedjob", name, "-n", where).get("status", {})
        if status.get("state") in {"Failed", "Complete"} or time.monotonic() > ends:
            return status
        time.sleep(1)

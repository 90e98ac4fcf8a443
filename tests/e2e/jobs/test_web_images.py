"""Row 19 in pods: images over https from a server in the test; everything else is refused.

The server has a private address on kind's network. The job's base image allows that one host and
trusts its certificate, as the operators of a closed network would set it up.
"""

from __future__ import annotations

import io
import json
import ssl
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from e2e.cluster_access.docker_host import docker, gateway
from e2e.cluster_access.operator_deployment import OperatorDeployment, is_complete
from fedjob import __version__
from fedjob.reasons import Reason
from fedjob.storage.layout import Layout
from support.certificates import self_made

pytestmark = pytest.mark.e2e

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.line = nn.Linear(3 * 8 * 8, num_classes)

    def forward(self, images):
        return self.line(images.flatten(1))
"""


@dataclass
class ImageServer:
    """The HTTPS server, with the number of requests for each path."""

    url: str
    address: str
    folder: Path
    hits: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageServer]:
    """Serves a small picture at every path, except huge bodies under /huge/."""
    folder = tmp_path_factory.mktemp("web")
    address = gateway()
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 10, 10)).save(picture, "PNG")
    found = ImageServer("", address, folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.hits[self.path] += 1
            huge = self.path.startswith("/huge/")
            body = b"" if huge else picture.getvalue()
            self.send_response(200)
            self.send_header("Content-Length", str(10**12 if huge else len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Logs nothing."""

    server = ThreadingHTTPServer((address, 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_made(folder, address))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found.url = f"https://{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def base(deployment: OperatorDeployment, site: ImageServer) -> str:
    """A runtime image that trusts and allows the server."""
    registry = deployment.env["FEDJOB_PUSH_REGISTRY"]
    name = f"{registry}/e2e/web-base:{deployment.system}"
    host = site.url.removeprefix("https://")
    dockerfile = (
        f"FROM {registry}/fedjob/runtime:{__version__}\n"
        "COPY certificate.pem /etc/fedjob-ca.pem\n"
        f"ENV SSL_CERT_FILE=/etc/fedjob-ca.pem FEDJOB_ALLOW_IMAGE_HOSTS={host}\n"
    )
    (site.folder / "Dockerfile").write_text(dockerfile)
    docker("build", "-q", "-t", name, str(site.folder))
    docker("push", "-q", name)
    return name


def give(deployment: OperatorDeployment, name: str, *shards: list[str]) -> None:
    """Uploads a shard for each list of URIs."""
    for index, uris in enumerate(shards):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            rows = [{"id": str(i), "uri": uri, "y": i % 2} for i, uri in enumerate(uris)]
            archive.writestr("manifest.ndjson", "\n".join(map(json.dumps, rows)))
        key = Layout(deployment.jobs, name).shard(f"part-{index}.zip")
        deployment.bucket.put_bytes(key, buffer.getvalue())


def spec(base: str, clients: int = 1) -> dict[str, Any]:
    return {
        "model": {"className": "Net", "source": {"inline": NET}},
        "training": {"imgSize": 8, "localEpochs": 2},
        "federation": {"numRounds": 3, "minClients": clients, "waitTimeAfterMinReceived": 1},
        "image": {"base": base},
    }


def test_images_are_downloaded_once_and_forbidden_ones_are_refused(
    deployment: OperatorDeployment, site: ImageServer, base: str
) -> None:
    """Row 19: three rounds of two epochs, with one request per image."""
    mine = [f"{site.url}/a/{i}.png" for i in range(3)]
    other = [f"{site.url}/b/{i}.png" for i in range(2)]
    give(deployment, "web", mine, other)
    # With minClients 1 the run could end before the second worker is ready.
    deployment.submit("web", **spec(base, clients=2))
    # The same host on another port is not allowed, since its address is private.
    port = site.url.rpartition(":")[2]
    give(deployment, "private", [site.url.replace(port, "9") + "/x.png"] * 2)
    give(deployment, "huge", [f"{site.url}/huge/x.png"] * 2)
    give(deployment, "plain", ["http://" + site.url.removeprefix("https://") + "/x.png"] * 2)
    for name in ("private", "huge", "plain"):
        deployment.submit(name, **spec(base))
    status = deployment.until("plain", lambda s: s.get("reason") == Reason.MANIFEST_INVALID)
    assert "https" in status["message"]
    deployment.until("web", is_complete)
    paths = {path: count for path, count in site.hits.items() if not path.startswith("/huge")}
    assert paths == {url.removeprefix(site.url): 1 for url in (*mine, *other)}
    for name, text in (("private", "not public"), ("huge", "bytes")):
        status = deployment.until(name, lambda s: s.get("state") == "Failed")
        assert status["reason"] == Reason.IMAGE_REFUSED, status["message"]
        assert "worker-0" in status["message"]
        assert text in status["message"]
    for name in ("web", "private", "huge", "plain"):
        deployment.delete(name)

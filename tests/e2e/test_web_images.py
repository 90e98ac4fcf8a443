"""Row 19 in pods: images over https, from a server that the test runs; the rest is refused.

The server is on the network between this machine and the nodes, whose addresses are private: the
job's base image allows that one host, and trusts its certificate, as an operator of a closed
network would have it.
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

from e2e.host import docker, gateway
from e2e.stage import Stage, is_complete
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
class Site:
    """The server, and how often each path was asked for."""

    url: str
    address: str
    folder: Path
    hits: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A picture at every path, but under /huge/ more than anyone wants."""
    folder = tmp_path_factory.mktemp("web")
    address = gateway()
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 10, 10)).save(picture, "PNG")
    found = Site("", address, folder)

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
            """Silent."""

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
def base(stage: Stage, site: Site) -> str:
    """The runtime image that knows the server."""
    registry = stage.env["FEDJOB_PUSH_REGISTRY"]
    name = f"{registry}/e2e/web-base:{stage.system}"
    host = site.url.removeprefix("https://")
    dockerfile = (
        f"FROM {registry}/fedjob/runtime:0.1.0\n"
        "COPY certificate.pem /etc/fedjob-ca.pem\n"
        f"ENV SSL_CERT_FILE=/etc/fedjob-ca.pem FEDJOB_ALLOW_IMAGE_HOSTS={host}\n"
    )
    (site.folder / "Dockerfile").write_text(dockerfile)
    docker("build", "-q", "-t", name, str(site.folder))
    docker("push", "-q", name)
    return name


def give(stage: Stage, name: str, *shards: list[str]) -> None:
    """A shard for each list of URIs."""
    for index, uris in enumerate(shards):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            rows = [{"id": str(i), "uri": uri, "y": i % 2} for i, uri in enumerate(uris)]
            archive.writestr("manifest.ndjson", "\n".join(map(json.dumps, rows)))
        key = Layout(stage.jobs, name).shard(f"part-{index}.zip")
        stage.bucket.put_bytes(key, buffer.getvalue())


def spec(base: str, clients: int = 1) -> dict[str, Any]:
    return {
        "model": {"className": "Net", "source": {"inline": NET}},
        "training": {"imgSize": 8, "localEpochs": 2},
        "federation": {"numRounds": 3, "minClients": clients, "waitTimeAfterMinReceived": 1},
        "image": {"base": base},
    }


def test_images_are_downloaded_once_and_what_is_not_allowed_is_refused(
    stage: Stage, site: Site, base: str
) -> None:
    """Row 19: three rounds of two epochs, and one request an image and worker."""
    mine = [f"{site.url}/a/{i}.png" for i in range(3)]
    other = [f"{site.url}/b/{i}.png" for i in range(2)]
    give(stage, "web", mine, other)
    # With one alone the rounds could be over before a slow second worker is there.
    stage.submit("web", **spec(base, clients=2))
    # On another port the same host is not allowed: its address is private.
    port = site.url.rpartition(":")[2]
    give(stage, "private", [site.url.replace(port, "9") + "/x.png"] * 2)
    give(stage, "huge", [f"{site.url}/huge/x.png"] * 2)
    give(stage, "plain", ["http://" + site.url.removeprefix("https://") + "/x.png"] * 2)
    for name in ("private", "huge", "plain"):
        stage.submit(name, **spec(base))
    status = stage.until("plain", lambda s: s.get("reason") == Reason.MANIFEST_INVALID)
    assert "https" in status["message"]
    stage.until("web", is_complete)
    paths = {path: count for path, count in site.hits.items() if not path.startswith("/huge")}
    assert paths == {url.removeprefix(site.url): 1 for url in (*mine, *other)}
    for name, words in (("private", "not public"), ("huge", "bytes")):
        status = stage.until(name, lambda s: s.get("state") == "Failed")
        assert status["reason"] == Reason.IMAGE_REFUSED, status["message"]
        assert "worker-0" in status["message"]
        assert words in status["message"]
    for name in ("web", "private", "huge", "plain"):
        stage.delete(name)

"""Row 19 against a real HTTPS server: one download, limits, redirects, certificates."""

from __future__ import annotations

import io
import multiprocessing
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from fedjob_runtime.training.data import download
from fedjob_runtime.training.data.dataset import ManifestDataset
from fedjob_runtime.training.data.images import open_image
from fedjob_runtime.training.errors import (
    ImageInvalidError,
    ImageRefusedError,
    ImageUnavailableError,
)
from support.certificates import self_made


def png(color: tuple[int, int, int] = (1, 2, 3)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), color).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class WebSite:
    """A server on loopback, and how often each path was asked for."""

    port: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    hosts: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    gate: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"


class Handler(BaseHTTPRequestHandler):
    site: WebSite

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        path = self.path
        with self.site.lock:
            self.site.hits[path] += 1
            hits = self.site.hits[path]
            self.site.hosts.append(self.headers["Host"])
        name = path.strip("/").split("/")[0]
        getattr(self, f"give_{name}", self.give_missing)(path, hits)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def give_image(self, path: str, hits: int) -> None:
        self.answer(200, png())

    def give_slow(self, path: str, hits: int) -> None:
        time.sleep(0.2)  # long enough for the others to ask too
        self.answer(200, png())

    def give_missing(self, path: str, hits: int) -> None:
        self.answer(404)

    def give_busy(self, path: str, hits: int) -> None:
        self.answer(503) if hits < 3 else self.answer(200, png())

    def give_broken(self, path: str, hits: int) -> None:
        self.answer(500)

    def give_html(self, path: str, hits: int) -> None:
        self.answer(200, b"<html>sign in</html>")

    def give_zipped(self, path: str, hits: int) -> None:
        self.answer(200, png(), Content_Encoding="gzip")

    def give_huge(self, path: str, hits: int) -> None:
        self.answer(200, b"", Content_Length=str(10**12))

    def give_endless(self, path: str, hits: int) -> None:
        """More than the limit, without saying so; it counts what it could send."""
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(10_000):
                self.wfile.write(b"x" * 10_000)
                with self.site.lock:
                    self.site.hits["endless bytes"] += 10_000
        except OSError:
            return

    def give_lie(self, path: str, hits: int) -> None:
        """Says 10 bytes, sends more: what is over the 10 is not the image's."""
        self.answer(200, png(), Content_Length="10")

    def give_short(self, path: str, hits: int) -> None:
        body = png()
        if hits == 1:
            self.answer(200, body[:20], Content_Length=str(len(body)))
        else:
            self.answer(200, body)

    def give_drip(self, path: str, hits: int) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while not self.site.gate.wait(0.05):
                self.wfile.write(b"x")
                self.wfile.flush()
        except OSError:
            return

    def give_to(self, path: str, hits: int) -> None:
        """/to/<status>?<location>."""
        status, _, location = path.removeprefix("/to/").partition("?")
        self.answer(int(status), Location=location.replace("PORT", str(self.site.port)))

    def give_chain(self, path: str, hits: int) -> None:
        left = int(path.rsplit("/", 1)[1])
        self.answer(302, Location=f"/chain/{left - 1}" if left else "/image/end")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-made authority and server certificate in one, for `localhost`."""
    folder = tmp_path_factory.mktemp("tls")
    return self_made(folder, "localhost", "images.example", "127.0.0.1")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up early is what several tests are about."""


@pytest.fixture
def site(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[WebSite]:
    running = WebSite()
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"site": running}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    running.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    monkeypatch.setenv("FEDJOB_ALLOW_IMAGE_HOSTS", "localhost")
    monkeypatch.setattr(download, "FIRST_WAIT", 0.01)
    yield running
    running.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


def cached(root: Path) -> list[str]:
    return sorted(p.name for p in (root / ".cache").iterdir() if not p.name.startswith("lock-"))


def test_an_image_is_downloaded_once_and_cached(site: WebSite, tmp_path: Path) -> None:
    for _ in range(3):
        image = open_image(site.url("/image/a"), tmp_path)
        assert (image.size, image.getpixel((0, 0))) == ((5, 4), (1, 2, 3))
    open_image(site.url("/image/a#part"), tmp_path)
    assert site.hits == {"/image/a": 1}
    assert site.hosts == [f"localhost:{site.port}"]
    assert len(cached(tmp_path)) == 1
    open_image(site.url("/image/a?size=2"), tmp_path)
    assert site.hits["/image/a?size=2"] == 1


def test_threads_that_ask_at_once_download_once(site: WebSite, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda _: open_image(site.url("/slow/a"), tmp_path), range(8)))
    assert len(images) == 8
    assert site.hits["/slow/a"] == 1


def _open(url: str, root: Path) -> None:
    open_image(url, root)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_processes_that_ask_at_once_download_once(site: WebSite, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=_open, args=(site.url("/slow/b"), tmp_path)) for _ in range(2)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert site.hits["/slow/b"] == 1
    assert len(cached(tmp_path)) == 1


def test_a_manifest_may_name_https_images(site: WebSite, tmp_path: Path) -> None:
    line = '{{"id": "{0}", "uri": "{1}", "y": 0}}\n'
    (tmp_path / "manifest.ndjson").write_text(
        line.format("good", site.url("/image/m")) + line.format("bad", site.url("/missing/m"))
    )
    dataset = ManifestDataset(tmp_path, "manifest.ndjson", 1, 4)
    assert [dataset[0][0].shape for _ in range(2)] == [(3, 4, 4)] * 2
    assert site.hits["/image/m"] == 1
    with pytest.raises(ImageUnavailableError, match=r"'bad' \(uri 'https.*answered 404"):
        dataset[1]


@pytest.mark.parametrize("path", ["/huge/a", "/endless/a"])
def test_an_oversized_body_is_refused_while_it_is_read(
    site: WebSite, tmp_path: Path, path: str
) -> None:
    with pytest.raises(ImageRefusedError, match="larger than 100000 bytes"):
        open_image(site.url(path), tmp_path, max_bytes=100_000)
    # What the server could send until we hung up is what the sockets' buffers hold, not 100 MB.
    assert site.hits["endless bytes"] < 30_000_000
    assert cached(tmp_path) == []


def test_a_body_of_just_the_limit_is_accepted(site: WebSite, tmp_path: Path) -> None:
    open_image(site.url("/image/a"), tmp_path, max_bytes=len(png()))
    with pytest.raises(ImageRefusedError):
        open_image(site.url("/image/b"), tmp_path, max_bytes=len(png()) - 1)


def test_too_many_pixels_are_refused_and_not_cached(site: WebSite, tmp_path: Path) -> None:
    with pytest.raises(ImageRefusedError, match="5 x 4 pixels"):
        open_image(site.url("/image/a"), tmp_path, max_pixels=19)
    assert cached(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "error", "expected", "hits"),
    [
        ("/missing/a", ImageUnavailableError, "answered 404", 1),
        ("/broken/a", ImageUnavailableError, "answered 500", 3),
        ("/html/a", ImageInvalidError, "not an image", 1),
        ("/zipped/a", ImageInvalidError, "compressed", 1),
        ("/lie/a", ImageInvalidError, "not an image of", 1),
    ],
)
def test_bad_answers(
    site: WebSite, tmp_path: Path, path: str, error: type[Exception], expected: str, hits: int
) -> None:
    with pytest.raises(error, match=expected):
        open_image(site.url(path), tmp_path)
    assert site.hits[path] == hits
    assert cached(tmp_path) == []


@pytest.mark.parametrize(("path", "hits"), [("/busy/a", 3), ("/short/a", 2)])
def test_passing_faults_are_tried_again(
    site: WebSite, tmp_path: Path, path: str, hits: int
) -> None:
    open_image(site.url(path), tmp_path)
    assert site.hits[path] == hits


def test_a_server_that_drips_is_cut_off_at_the_deadline(site: WebSite) -> None:
    with pytest.raises(ImageUnavailableError, match=r"not done after 0\.3 seconds"):
        download.fetch(site.url("/drip/a"), allow_hosts=frozenset({"localhost"}), deadline=0.3)
    assert site.hits["/drip/a"] >= 1


def test_what_is_there_when_the_deadline_is_over_is_not_taken_for_a_body(
    site: WebSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the half of one: a cut connection once looked like its end, on a busy machine."""

    def cut_off(*_: object) -> bytes:
        time.sleep(0.5)
        return b"x"

    monkeypatch.setattr(download, "_answer", cut_off)
    with pytest.raises(ImageUnavailableError, match=r"not done after 0\.3 seconds"):
        download.fetch(site.url("/image/a"), allow_hosts=frozenset({"localhost"}), deadline=0.3)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(site: WebSite, tmp_path: Path, status: int) -> None:
    open_image(site.url(f"/to/{status}?/image/r"), tmp_path)
    assert site.hits["/image/r"] == 1


def test_five_redirects_are_followed_and_six_are_not(site: WebSite, tmp_path: Path) -> None:
    open_image(site.url("/chain/4"), tmp_path)
    with pytest.raises(ImageRefusedError, match="more than 5 redirects"):
        open_image(site.url("/chain/5"), tmp_path)
    assert site.hits["/image/end"] == 1


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:PORT/image/x",
        "https://127.0.0.1:PORT/image/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]:PORT/image/x",
        "//127.0.0.1:PORT/image/x",
        "https://user@localhost:PORT/image/x",
        "file:///etc/passwd",
    ],
)
def test_a_redirect_passes_every_check_again(site: WebSite, tmp_path: Path, location: str) -> None:
    with pytest.raises(ImageRefusedError):
        open_image(site.url(f"/to/302?{location}"), tmp_path)
    assert site.hits["/image/x"] == 0


def test_loopback_is_refused_unless_the_host_is_named(
    site: WebSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDJOB_ALLOW_IMAGE_HOSTS", "")
    with pytest.raises(ImageRefusedError, match=r"not public: .*127\.0\.0\.1"):
        open_image(site.url("/image/a"), tmp_path)
    assert not site.hits
    open_image(site.url("/image/a"), tmp_path, allow_hosts=frozenset({f"localhost:{site.port}"}))


def test_a_cached_image_of_a_refused_host_is_what_was_downloaded_when_it_was_allowed(
    site: WebSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_image(site.url("/image/a"), tmp_path)
    monkeypatch.setenv("FEDJOB_ALLOW_IMAGE_HOSTS", "")
    open_image(site.url("/image/a"), tmp_path)
    assert site.hits["/image/a"] == 1


def test_http_is_refused_without_a_connection(site: WebSite, tmp_path: Path) -> None:
    with pytest.raises(ImageRefusedError, match="http:// is not allowed"):
        open_image(f"http://localhost:{site.port}/image/a", tmp_path)
    assert not site.hits


def test_an_unknown_authority_is_refused(
    site: WebSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ImageUnavailableError, match="certificate is not trusted"):
        open_image(site.url("/image/a"), tmp_path)
    assert not site.hits


Answer = list[tuple[object, ...]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, list[list[str]]], list[str]]:
    """Makes a name resolve to other addresses at each look-up; the look-ups are returned."""
    real = socket.getaddrinfo

    def script(host: str, answers: list[list[str]]) -> list[str]:
        asked: list[str] = []

        def lookup(name: str, port: int, *args: object, **kwargs: object) -> Answer:
            if name != host:
                return real(name, port, *args, **kwargs)  # type: ignore[arg-type, return-value]
            found = answers[min(len(asked), len(answers) - 1)]
            asked.append(name)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        return asked

    return script


def test_the_certificate_s_name_is_that_of_the_uri_not_of_the_address(
    site: WebSite, tmp_path: Path, names: Callable[[str, list[list[str]]], list[str]]
) -> None:
    for host in ("images.example", "other.example"):
        names(host, [["127.0.0.1"]])
        url = site.url("/image/n", host)
        if host == "images.example":
            open_image(url, tmp_path, allow_hosts=frozenset({host}))
        else:
            with pytest.raises(ImageUnavailableError, match="certificate is not trusted"):
                open_image(url, tmp_path, allow_hosts=frozenset({host}))
    assert site.hits["/image/n"] == 1


def test_a_name_that_changes_after_the_check_is_not_looked_up_again(
    site: WebSite,
    tmp_path: Path,
    names: Callable[[str, list[list[str]]], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: the connection goes to the address that was checked."""
    asked = names("images.example", [["127.0.0.1"], ["127.0.0.2"]])
    connected: list[object] = []
    real = socket.socket.connect

    def connect(self: socket.socket, address: object) -> None:
        connected.append(address)
        real(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect)
    url = site.url("/image/n", "images.example")
    open_image(url, tmp_path, allow_hosts=frozenset({"images.example"}))
    assert asked == ["images.example"]
    assert connected == [("127.0.0.1", site.port)]


def test_a_name_with_a_public_and_a_private_address_is_refused(
    site: WebSite, tmp_path: Path, names: Callable[[str, list[list[str]]], list[str]]
) -> None:
    names("images.example", [["93.184.216.34", "127.0.0.1"]])
    with pytest.raises(ImageRefusedError, match=r"not public: 127\.0\.0\.1"):
        open_image(site.url("/image/n", "images.example"), tmp_path)
    assert not site.hits


def test_the_next_address_is_tried_where_one_does_not_answer(
    site: WebSite, tmp_path: Path, names: Callable[[str, list[list[str]]], list[str]]
) -> None:
    names("images.example", [["127.0.0.9", "127.0.0.1"]])
    open_image(
        site.url("/image/n", "images.example"),
        tmp_path,
        allow_hosts=frozenset({"images.example"}),
    )
    assert site.hits["/image/n"] == 1


def test_a_cache_that_is_a_link_is_refused(site: WebSite, tmp_path: Path) -> None:
    root = tmp_path / "shard"
    root.mkdir()
    (root / ".cache").symlink_to(tmp_path)
    with pytest.raises(ImageRefusedError, match="is a link"):
        open_image(site.url("/image/a"), root)
    assert not site.hits

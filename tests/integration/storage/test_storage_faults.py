"""A real store behind a line that fails: answers lost or cut, bytes changed, 503, kill -9."""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fedjob.backoff import Backoff
from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.protocol.commit import Commit
from fedjob.protocol.config import StoreLocation
from fedjob.storage.bucket import Bucket
from fedjob.storage.errors import StoreError, StoreUnreachableError
from fedjob.storage.layout import Layout
from fedjob.storage.objects import Outcome
from fedjob.storage.patience import Patience
from fedjob.storage.rounds import RoundLog

MIB = 1024 * 1024


class Line(ThreadingHTTPServer):
    """A proxy in front of the store; `faults` says what happens to which request.

    A status strikes the request; "for good" after it, all that come on the same connection.
    """

    daemon_threads = True

    def __init__(self, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind = urlsplit(endpoint).netloc
        self.faults: list[tuple[Callable[[str, str], bool], str]] = []
        self.struck: list[str] = []
        self._lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fault(self, method: str, path: str) -> str:
        """What strikes this request; each fault strikes once."""
        with self._lock:
            for entry in self.faults:
                if entry[0](method, path):
                    self.faults.remove(entry)
                    self.struck.append(entry[1])
                    return entry[1]
        return ""


class Handler(BaseHTTPRequestHandler):
    """Passes a request on and its answer back."""

    protocol_version = "HTTP/1.1"
    server: Line
    misrouted = ""

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def forward(self) -> None:
        fault = self.misrouted or self.server.fault(self.command, self.path)
        if fault.endswith("for good"):
            self.misrouted = fault
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "change":
            body = bytes([body[0] ^ 1]) + body[1:]
        status = fault.partition(" ")[0]
        if status in ("404", "503"):
            self.send_response(int(status))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        connection = http.client.HTTPConnection(self.server.behind)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if fault == "lose":
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length", "date"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", str(len(content)))
        self.send_header("Content-Length", length)
        self.end_headers()
        if fault == "cut":
            content = content[: len(content) // 2]
            self.close_connection = True
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815


@pytest.fixture
def line(store: EmbeddedStore) -> Iterator[Line]:
    with Line(store.location.endpoint or "") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def far(line: Line, store: EmbeddedStore, location: StoreLocation) -> Iterator[Bucket]:
    """The bucket as seen through the line; one try a request, so that every fault is seen."""
    through = location.model_copy(update={"endpoint": line.endpoint})
    with Bucket(through, store.credentials, attempts=1) as opened:
        yield opened


def commit_of(path: Path, number: int) -> Commit:
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    return Commit(
        round=number, attempt=1, sha256=sha256, size=len(data), started="s", ended=f"e{number}"
    )


def on(method: str, part: str) -> Callable[[str, str], bool]:
    return lambda m, path: m == method and part in path


FAULTS = [
    ("commit answer lost", [(on("PUT", "commit.json"), "lose")]),
    ("model answer lost", [(on("PUT", "/model-"), "lose")]),
    ("several lost", [(on("PUT", "/model-"), "lose"), *[(on("PUT", "commit.json"), "lose")] * 2]),
    ("503 on everything", [(lambda _m, _p: True, "503")] * 6),
    ("listing cut", [(on("GET", "list-type"), "cut")]),
]


@pytest.mark.parametrize(("name", "faults"), FAULTS, ids=[name for name, _ in FAULTS])
@pytest.mark.parametrize("attempts", [1, 5], ids=["own retries", "botocore's retries"])
def test_a_commit_survives_the_line(
    line: Line,
    store: EmbeddedStore,
    bucket: Bucket,
    location: StoreLocation,
    tmp_path: Path,
    attempts: int,
    name: str,
    faults: list[tuple[Callable[[str, str], bool], str]],
) -> None:
    """Row 29: retried, counted, and committed exactly once, by us."""
    through = location.model_copy(update={"endpoint": line.endpoint})
    layout = Layout("default", "digits", location.prefix)
    retried: list[StoreUnreachableError] = []
    path = tmp_path / "model"
    path.write_bytes(b"weights")
    with Bucket(through, store.credentials, attempts=attempts) as far:
        log = RoundLog(far, layout, Patience(60, retried.append, backoff=Backoff(0.01, 4.0)))
        assert log.claim_attempt("test") == 1
        line.faults = list(faults)
        stored = log.commit(commit_of(path, 0), path)
    assert line.faults == []
    assert len(retried) == len(faults) if attempts == 1 else len(retried) < len(faults) + 1
    near = RoundLog(bucket, layout)
    assert near.commits() == [0]
    assert near.fetch_model(0, tmp_path / "out") == stored


def test_an_attempt_whose_answer_is_lost_is_claimed_once(
    line: Line, far: Bucket, location: StoreLocation
) -> None:
    log = RoundLog(far, Layout("default", "digits", location.prefix), Patience(60))
    line.faults = [(on("PUT", "attempts/"), "lose")]
    assert log.claim_attempt("test") == 1
    assert line.struck == ["lose"]
    assert log.latest_attempt() == 1


@pytest.mark.parametrize("status", [404, 503])
def test_misrouted_connection_is_left(
    line: Line, far: Bucket, bucket: Bucket, location: StoreLocation, tmp_path: Path, status: int
) -> None:
    """As when Kubernetes sends one elsewhere while the store's endpoints change: all of its life.

    What answers there says the same to everything, without a word of S3.
    """
    layout = Layout("default", "digits", location.prefix)
    log = RoundLog(far, layout, Patience(60, backoff=Backoff(0.01, 4.0)))
    line.faults = [(on("GET", "list-type"), f"{status} for good")]
    attempt = log.claim_attempt("test")
    path = tmp_path / "model"
    path.write_bytes(b"weights")
    line.faults = [(on("PUT", part), f"{status} for good") for part in ("commit.json", "/model-")]
    far.close()
    log.commit(commit_of(path, 0), path)
    line.faults.append((on("GET", "commit.json"), f"{status} for good"))
    far.close()
    assert log.read(0).attempt == attempt == 1
    assert line.struck == [f"{status} for good"] * 4
    assert RoundLog(bucket, layout).commits() == [0]


def test_a_download_goes_on_where_it_was_cut(
    line: Line, far: Bucket, bucket: Bucket, location: StoreLocation, tmp_path: Path
) -> None:
    path = tmp_path / "in"
    path.write_bytes(random.Random(1).randbytes(9 * MIB))
    key = f"{location.prefix}/f"
    bucket.upload_file(path, key)
    line.faults = [(on("GET", "/f"), "cut")] * 3
    far.download_file(key, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == path.read_bytes()
    line.faults = [(on("GET", "/f"), "cut")] * 100
    with pytest.raises(StoreUnreachableError):
        far.download_file(key, tmp_path / "out2")
    assert not (tmp_path / "out2").exists()
    line.faults = [(on("GET", "/f"), "cut")] * 2
    assert far.get_bytes(key, path.stat().st_size) == path.read_bytes()
    line.faults = [(on("GET", "/f"), "cut")] * 2
    assert far.open_seekable(key).read(MIB) == path.read_bytes()[:MIB]


@pytest.mark.parametrize("size", [1000, 17 * MIB], ids=["whole", "parts"])
def test_bytes_changed_on_the_way_are_refused(
    line: Line, far: Bucket, bucket: Bucket, location: StoreLocation, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "in"
    path.write_bytes(random.Random(1).randbytes(size))
    key = f"{location.prefix}/f"
    line.faults = [(on("PUT", "/f"), "change")]
    with pytest.raises(StoreError):
        far.upload_file(path, key)
    assert line.struck == ["change"]
    assert bucket.head(key) is None


def test_the_lost_answer_to_the_end_of_a_multipart_upload(
    line: Line, store: EmbeddedStore, location: StoreLocation, tmp_path: Path
) -> None:
    """botocore completes again, and the store knows no such upload any more."""
    path = tmp_path / "in"
    path.write_bytes(random.Random(1).randbytes(17 * MIB))
    line.faults = [(on("POST", "uploadId="), "lose")]
    through = location.model_copy(update={"endpoint": line.endpoint})
    with Bucket(through, store.credentials, attempts=3) as far:
        upload = far.upload_file(path, f"{location.prefix}/f")
        assert upload.outcome is Outcome.UPLOADED
        assert line.struck == ["lose"]
        far.download_file(upload.key, tmp_path / "out", upload.sha256)


def test_commits_go_on_through_kill_9_of_the_store(tmp_path: Path) -> None:
    """Rows 13 and 29: a store of its own, killed again and again while rounds are committed."""
    rounds = 10
    retried: list[StoreUnreachableError] = []
    done = threading.Event()
    kills: list[int] = []
    with EmbeddedStore(tmp_path / "store", tmp_path / "store.log") as store:

        def watch() -> None:
            dice = random.Random(1)
            while not done.wait(dice.uniform(0.2, 0.7)):
                pid = store.pid
                if len(kills) < 2 and pid is not None:
                    os.kill(pid, signal.SIGKILL)
                    kills.append(pid)
                    while store.is_running():
                        time.sleep(0.01)
                store.ensure_running()

        watchdog = threading.Thread(target=watch)
        watchdog.start()
        try:
            with Bucket(store.location, store.credentials, attempts=1) as bucket:
                log = RoundLog(bucket, Layout("default", "digits"), Patience(60, retried.append))
                attempt = log.claim_attempt("test")
                assert attempt == 1
                number = 0
                while number < rounds or len(kills) < 2:
                    path = tmp_path / "model"
                    path.write_bytes(f"{number}".encode() * 300_000)
                    log.commit(commit_of(path, number), path)
                    number += 1
        finally:
            done.set()
            watchdog.join()
        store.ensure_running()
        with Bucket(store.location, store.credentials) as bucket:
            log = RoundLog(bucket, Layout("default", "digits"))
            assert log.commits() == list(range(number))
            for each in range(number):
                log.fetch_model(each, tmp_path / "out")
                assert (tmp_path / "out").read_bytes() == f"{each}".encode() * 300_000
    assert len(kills) == 2
    assert retried

"""A worker fetches its own shard: retried, renewed, refused (CONTRACT rows 17, 27, 38)."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fedjob.errors import FedjobError, InvalidInputError
from fedjob.protocol.config import WorkerConfig
from fedjob_runtime.worker.shard_download import (
    ShardChecksumError,
    ShardUnavailableError,
    prepare_shard,
)


def shard(manifest: str = "manifest.ndjson") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(manifest, '{"id": "a", "uri": "a.txt", "y": 1}\n')
        archive.writestr("a.txt", "x")
    return buffer.getvalue()


class Store(ThreadingHTTPServer):
    """Answers GETs from a script: a status code, or bytes; the last one for ever."""

    def __init__(self) -> None:
        self.script: list[int | bytes] = []
        self.paths: list[str] = []
        self.etag = '"1"'
        self.recorded: str | None = None
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        script = self.server.script
        step = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(step, int):
            self.send_response(step)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", self.server.etag)
        if self.server.recorded is not None:
            self.send_header("x-amz-meta-sha256", self.server.recorded)
        self.send_header("Content-Length", str(len(step)))
        self.end_headers()
        self.wfile.write(step)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def config(tmp_path: Path, store: Store) -> WorkerConfig:
    url = tmp_path / "url"
    url.write_text(f"http://127.0.0.1:{store.server_address[1]}/shard-1.zip?signature=old\n")
    home = tmp_path / "home"
    home.mkdir()
    return WorkerConfig(
        namespace="default",
        name="job",
        worker="worker-1",
        shard="shard-1.zip",
        shard_url_file=str(url),
        job_folder="/nowhere",
        kit="/nowhere",
        home=str(home),
    )


class Clock:
    """Time that passes only in sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def prepare(config: WorkerConfig, clock: Clock | None = None) -> tuple[Path, list[str]]:
    log: list[str] = []
    ticking = clock or Clock()
    return prepare_shard(config, log.append, ticking, ticking.sleep), log


def test_the_shard_is_unpacked(config: WorkerConfig, store: Store) -> None:
    store.script = [shard()]
    folder, log = prepare(config)
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "manifest.ndjson"]
    assert log[-1] == "shard shard-1.zip is ready"
    assert not (Path(config.home) / "shard.zip").exists()


def test_a_restart_does_not_fetch_it_again(config: WorkerConfig, store: Store) -> None:
    store.script = [shard()]
    folder, _ = prepare(config)
    (folder / "runs").mkdir()
    again, log = prepare(config)
    assert log == ["shard shard-1.zip is here already"]
    assert (again / "runs").is_dir()


def test_a_changed_shard_replaces_the_old_one(config: WorkerConfig, store: Store) -> None:
    store.script = [shard()]
    folder, _ = prepare(config)
    (folder / "old").touch()
    store.etag = '"2"'
    folder, _ = prepare(config)
    assert not (folder / "old").exists()


def test_server_errors_are_retried_with_backoff(config: WorkerConfig, store: Store) -> None:
    store.script = [500, 503, 429, shard()]
    clock = Clock()
    prepare(config, clock)
    assert clock.slept == [0.5, 1.0, 2.0]


def test_a_url_that_expired_is_read_again(config: WorkerConfig, store: Store) -> None:
    """Row 38: the engine renews the file while the worker tries."""
    store.script = [403, shard()]

    class Renewing(Clock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            file = Path(config.shard_url_file)
            file.write_text(file.read_text().replace("old", "new"))

    prepare(config, Renewing())
    assert [path.partition("=")[2] for path in store.paths] == ["old", "new"]


def test_a_store_that_stays_away_ends_the_wait(config: WorkerConfig, store: Store) -> None:
    store.script = [503]
    with pytest.raises(ShardUnavailableError, match=r"worker-1: shard shard-1\.zip.*503"):
        prepare(config)


def test_a_connection_that_breaks_in_the_middle_is_tried_again(
    config: WorkerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = shard()
    sizes = [len(body) // 2, len(body)]

    def do_get(self: _Handler) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: sizes.pop(0)])
        self.close_connection = True

    monkeypatch.setattr(_Handler, "do_GET", do_get)
    folder, log = prepare(config)
    assert (folder / "manifest.ndjson").is_file()
    assert "trying again" in log[0]


def test_what_arrives_has_the_checksum_of_the_job_and_of_the_upload(
    config: WorkerConfig, store: Store
) -> None:
    data = shard()
    store.script = [data]
    good, other = hashlib.sha256(data).hexdigest(), "0" * 64
    store.recorded = good
    prepare(config.model_copy(update={"sha256": good.upper()}))
    for asked, recorded, expected in (
        (other, good, "spec.shards says"),
        (good, other, "at its upload"),
    ):
        store.recorded, store.etag = recorded, f'"{expected}"'
        with pytest.raises(ShardChecksumError, match=expected) as caught:
            prepare(config.model_copy(update={"sha256": asked}))
        assert caught.value.reason == "ChecksumMismatch"
        assert good in str(caught.value)


@pytest.mark.parametrize(
    ("step", "fragments"),
    [
        (404, ["shard-1.zip", "404", "upload it again"]),
        (400, ["worker-1", "400", "presigned"]),
        (b"no zip at all", ["shard-1.zip"]),
    ],
    ids=["404", "400", "no-zip"],
)
def test_what_a_restart_cannot_mend_is_refused_at_once(
    config: WorkerConfig, store: Store, step: int | bytes, fragments: list[str]
) -> None:
    store.script = [step]
    clock = Clock()
    with pytest.raises(FedjobError) as caught:
        prepare(config, clock)
    assert not isinstance(caught.value, ShardUnavailableError)
    assert clock.slept == []
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_shard_without_a_manifest_is_unpacked(config: WorkerConfig, store: Store) -> None:
    """Row 17: whether it needs one was checked before the job started."""
    store.script = [shard("data/manifest.ndjson")]
    folder, _ = prepare(config)
    assert (folder / "data/manifest.ndjson").is_file()


def test_a_file_without_a_url_is_named(config: WorkerConfig) -> None:
    Path(config.shard_url_file).write_text("file:///etc/passwd")
    with pytest.raises(InvalidInputError, match="presigned GET URL"):
        prepare(config)

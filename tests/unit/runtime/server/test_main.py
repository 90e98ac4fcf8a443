"""`fedjob-server`: what surrounds the supervisor, and the exit code of each end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedjob.errors import FedjobError, InvalidInputError
from fedjob.protocol.config import ServerConfig
from fedjob.reasons import Reason
from fedjob.storage.credentials import Credentials
from fedjob.storage.errors import StoreUnreachableError, Where
from fedjob_runtime.server import main as module
from fedjob_runtime.server.clock import Stopped
from fedjob_runtime.server.orders import ParentError
from fedjob_runtime.server.supervisor.status_store import StatusStore
from support.site_configs import server_config, written


class RefusedError(FedjobError):
    reason = Reason.CHECKSUM_MISMATCH


class FakeServer:
    """The supervisor, its port and its bucket; `calls` are in their order."""

    def __init__(self, folder: Path) -> None:
        self.config = server_config(folder)
        self.calls: list[str] = []
        self.act: Callable[[], bool] = lambda: True
        self._folder = folder

    def supervisor(
        self, config: ServerConfig, status: StatusStore, bucket: object, *, folder: Path
    ) -> FakeServer:
        self.status, self.bucket, self.folder = status, bucket, folder
        return self

    def port(self, *arguments: object) -> FakePort:
        return FakePort(self.calls, arguments[-2:])

    def main(self, *options: str) -> int:
        return module.main([*written(self.config, self._folder), *options])

    # The supervisor.

    def run(self) -> bool:
        self.calls.append("run")
        return self.act()

    def release_workers(self) -> None:
        self.calls.append("release workers")

    def linger(self, seconds: float) -> None:
        self.calls.append("linger")

    def kill(self) -> None:
        self.calls.append("kill")

    def stop(self) -> None:
        self.calls.append("stop")

    def healthy(self) -> bool:
        return True


class FakePort:
    """The status server."""

    def __init__(self, calls: list[str], address: tuple[object, ...]) -> None:
        self._calls, self._address = calls, address

    def start(self) -> None:
        host, port = self._address
        self._calls.append(f"serve {host}:{port}")

    def stop(self) -> None:
        self._calls.append("close")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    fake = FakeServer(tmp_path)
    monkeypatch.setattr(module, "Supervisor", fake.supervisor)
    monkeypatch.setattr(module, "StatusServer", fake.port)
    monkeypatch.setattr(module, "Bucket", lambda location, keys: (location, keys))
    monkeypatch.setattr(module, "raise_file_limit", lambda: fake.calls.append("raise limit"))
    handlers = [(each, signal.getsignal(each)) for each in (signal.SIGTERM, signal.SIGINT)]
    yield fake
    for number, handler in handlers:
        signal.signal(number, handler)


BEGUN = ["raise limit", "serve 127.0.0.1:8080", "run"]


def test_complete_run_releases_its_workers_and_is_served_a_moment_longer(
    server: FakeServer,
) -> None:
    assert server.main() == 0
    assert server.calls == [*BEGUN, "release workers", "linger", "kill", "close"]
    assert server.status.status.total == server.config.spec.federation.num_rounds
    assert Path(server.config.home).is_dir()


def test_failed_run_keeps_its_workers_for_whoever_ends_them(server: FakeServer) -> None:
    server.act = lambda: False
    assert server.main() == 1
    assert server.calls == [*BEGUN, "linger", "kill", "close"]


def test_error_of_fedjob_fails_the_run_with_its_reason(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> bool:
        raise RefusedError("round 3: the model is not the one that was committed")

    server.act = refuse
    assert server.main() == 1
    kept = json.loads((Path(server.config.home) / "status.json").read_text())
    assert (kept["phase"], kept["reason"]) == ("Failed", "ChecksumMismatch")
    assert "round 3" in kept["message"]
    assert "Failed: ChecksumMismatch: round 3" in capsys.readouterr().out
    assert server.calls == [*BEGUN, "linger", "kill", "close"]


def test_store_that_cannot_be_reached_is_no_failure_of_the_run(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def away() -> bool:
        raise StoreUnreachableError(Where("jobs", "AWS"), "no answer", "check the endpoint")

    server.act = away
    assert server.main() == 75
    assert "check the endpoint" in capsys.readouterr().err
    assert not (Path(server.config.home) / "status.json").exists()
    assert server.calls == [*BEGUN, "kill", "close"]


def test_sigterm_stops_the_supervisor(server: FakeServer) -> None:
    def stopped() -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        raise Stopped

    server.act = stopped
    assert server.main() == 143
    assert server.calls == [*BEGUN, "stop", "kill", "close"]


def test_unknown_error_leaves_no_process_behind(server: FakeServer) -> None:
    def break_down() -> bool:
        raise RuntimeError("a bug")

    server.act = break_down
    with pytest.raises(RuntimeError, match="a bug"):
        server.main()
    assert server.calls == [*BEGUN, "kill", "close"]


def test_keys_come_by_a_descriptor_that_can_be_read_once(
    server: FakeServer, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    os.write(writer, json.dumps(keys).encode())
    os.close(writer)
    shared = tmp_path / "shared"
    assert server.main("--credentials-fd", str(reader), "--handover", str(shared)) == 0
    assert server.bucket == (server.config.store, Credentials("id", "secret"))
    assert server.folder == shared
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_without_a_descriptor_the_environment_has_the_keys(server: FakeServer) -> None:
    assert server.main() == 0
    assert server.bucket == (server.config.store, None)
    assert server.folder == Path(server.config.home)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"AWS_ACCESS_KEY_ID": "id"}'])
def test_descriptor_without_keys_is_named(content: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    with pytest.raises(InvalidInputError, match=f"--credentials-fd {reader}"):
        module.read_keys(reader)
    os.close(reader)


def test_server_without_its_agent_is_started_again(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def alone() -> bool:
        raise ParentError("no agent of NVFlare's server answers within 60 s")

    server.act = alone
    assert server.main() == 75
    assert "no agent" in capsys.readouterr().err
    assert not (Path(server.config.home) / "status.json").exists()

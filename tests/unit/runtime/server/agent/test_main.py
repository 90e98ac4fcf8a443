"""The agent carries out orders, and NVFlare ends with the connection they come by."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedjob.protocol.config import ServerConfig
from fedjob_runtime.server.agent import main as module
from fedjob_runtime.server.agent.main import Agent, listen
from fedjob_runtime.server.ipc import SegmentReport
from fedjob_runtime.server.orders import PROTOCOL, Lines, ParentError, SegmentRefusedError
from support.handover import handover_in
from support.site_configs import server_config


class FakeParent:
    """NVFlare's parent process."""

    def __init__(self) -> None:
        self.alive = False
        self.peers = 3
        self.calls: list[Any] = []
        self.error: Exception | None = None

    def prepare(self) -> None:
        self.calls.append("prepare")

    def start(self) -> None:
        self.calls.append("start")
        self.alive = True

    def kill(self) -> None:
        self.calls.append("kill")
        self.alive = False

    def submit(self, folder: Path) -> str:
        if self.error is not None:
            raise self.error
        config = json.loads((folder / "app/config/config_fed_server.json").read_text())
        meta = json.loads((folder / "meta.json").read_text())
        self.calls.append((config["workflows"][0]["args"], meta["deploy_map"]))
        return "job-1"

    def abort(self, job: str) -> None:
        self.calls.append(f"abort {job}")

    def shut_clients_down(self) -> bool:
        return True


class Memory:
    killed = False

    def exceeded(self) -> bool:
        return self.killed


class Bench:
    """An agent and the supervisor's end of a connection to it."""

    def __init__(self, folder: Path) -> None:
        self.config = _config(folder)
        self.handover = handover_in(folder / "shared")
        self.parent, self.memory = FakeParent(), Memory()
        self.agent = Agent(self.config, self.handover, self.parent, self.memory)  # type: ignore[arg-type]
        self.connection, theirs = socket.socketpair()
        self.lines = Lines(self.connection)
        self._thread = threading.Thread(target=self._serve, args=(theirs,), daemon=True)
        self._thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            self.agent.serve_one(connection)

    def ask(self, order: str, **fields: Any) -> dict[str, Any]:
        self.lines.send({"order": order, **fields}, 5)
        answer = self.lines.receive(30)
        assert answer is not None
        return answer

    def close(self) -> None:
        self.connection.close()
        self._thread.join(30)
        assert not self._thread.is_alive()


def _config(folder: Path) -> ServerConfig:
    config = server_config(folder)
    job = Path(config.job_folder)
    (job / "meta.json").write_text("{}")
    server = {"workflows": [{"args": {"num_rounds": 3}}]}
    (job / "app/config/config_fed_server.json").write_text(json.dumps(server))
    return config


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_first_start_drops_what_an_earlier_supervisor_was_reported(bench: Bench) -> None:
    handover = bench.handover
    handover.report(SegmentReport(7))
    handover.model_file(3).parent.mkdir(parents=True)
    assert bench.ask("start", protocol=PROTOCOL, fresh=True) == {}
    assert list(handover.reports.iterdir()) == []
    assert bench.parent.calls == ["kill", "prepare", "start"]
    assert bench.ask("state") == {"alive": True, "out_of_memory": False}
    assert bench.ask("peers") == {"count": 3}
    bench.memory.killed, bench.parent.alive = True, False
    assert bench.ask("state") == {"alive": False, "out_of_memory": True}
    handover.model_file(4).parent.mkdir(parents=True)
    bench.ask("start", protocol=PROTOCOL, fresh=False)
    assert handover.model_file(4).parent.is_dir(), "it may be offered, and not committed yet"


def test_supervisor_of_another_release_is_refused(bench: Bench) -> None:
    answer = bench.ask("start", protocol=PROTOCOL + 1, fresh=True)
    assert "build spec.image.base from the runtime image" in answer["refused"]
    assert "start" not in bench.parent.calls


def test_segment_is_submitted_with_its_settings(bench: Bench) -> None:
    for number in (3, 4):
        bench.handover.model_file(number).parent.mkdir(parents=True)
    answer = bench.ask("submit", segment=9, start_round=3, clients=["worker-0", "worker-2"])
    assert answer == {"job": "job-1"}
    arguments = {
        "num_rounds": 3,
        "segment": 9,
        "start_round": 3,
        "clients": ["worker-0", "worker-2"],
    }
    assert bench.parent.calls == [(arguments, {"app": ["server", "worker-0", "worker-2"]})]
    assert not bench.handover.model_file(4).parent.exists(), "half-written after round 3"
    assert bench.handover.model_file(3).parent.exists()
    assert list((Path(bench.config.home) / "segments").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (SegmentRefusedError("no deploy map"), {"refused": "no deploy map"}),
        (ParentError("busy"), {"error": "busy"}),
        (OSError(28, "No space left"), {"error": "submit: OSError(28, 'No space left')"}),
    ],
)
def test_refusals_and_errors_are_different_answers(
    bench: Bench, error: Exception, answer: dict[str, str]
) -> None:
    bench.parent.error = error
    assert bench.ask("submit", segment=9, start_round=3, clients=[]) == answer
    assert list((Path(bench.config.home) / "segments").iterdir()) == []
    assert bench.ask("state")["alive"] is False, "the connection is as before"


@pytest.mark.parametrize("order", ["", "exec", "submit"])
def test_other_orders_are_answered_with_an_error(bench: Bench, order: str) -> None:
    assert "error" in bench.ask(order)


def test_rest_of_the_orders(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    exported: list[tuple[Path, Path]] = []
    monkeypatch.setattr(module, "export", lambda model, target: exported.append((model, target)))
    assert bench.ask("abort", job="job-1") == {}
    assert bench.ask("release") == {"over": True}
    assert bench.ask("export", round=3) == {}
    assert bench.parent.calls == ["abort job-1"]
    assert exported == [(bench.handover.start_model(3), bench.handover.torch_file(3))]


@pytest.mark.parametrize("ending", ["closed", "a line that is not JSON"])
def test_nvflare_ends_with_the_connection(tmp_path: Path, ending: str) -> None:
    bench = Bench(tmp_path)
    bench.ask("start", protocol=PROTOCOL, fresh=True)
    assert bench.parent.alive
    if ending != "closed":
        bench.connection.sendall(b"no\n")
    bench.close()
    assert not bench.parent.alive


def test_socket_is_the_groups_and_replaces_an_earlier_one(tmp_path: Path) -> None:
    """In a folder whose path is longer than the name of a socket may be."""
    reports = tmp_path / ("long" * 40)
    reports.mkdir()
    listen(reports).close()
    with listen(reports) as listener:
        found = os.stat(reports / "agent.sock")
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o660
        folder = os.open(reports, os.O_PATH)
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
            client.connect(f"/proc/self/fd/{folder}/agent.sock")
            listener.accept()[0].close()
        os.close(folder)


def test_command_serves_without_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, seen = _config(tmp_path), dict[str, Any]()

    class Served(Exception):  # noqa: N818
        pass

    def fork_server(env: dict[str, str]) -> dict[str, str]:
        seen["env"] = env
        return env

    def serve(agent: Agent, listener: socket.socket) -> None:
        seen["listens"] = listener.getsockname()
        raise Served

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(module, "environment_with_fork_server", fork_server)
    monkeypatch.setattr(module, "raise_file_limit", lambda: None)
    monkeypatch.setattr(Agent, "serve", serve)
    file = tmp_path / "server.json"
    file.write_text(config.model_dump_json(by_alias=True))
    with pytest.raises(Served):
        module.main(["--config", str(file), "--handover", str(tmp_path / "shared")])
    assert not [name for name in seen["env"] if name.startswith("AWS_")]
    assert (tmp_path / "shared/reports/agent.sock").is_socket()

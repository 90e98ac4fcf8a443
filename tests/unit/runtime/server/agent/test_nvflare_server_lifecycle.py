"""NVFlare's server parent from its workspaces to its end, and the admin session to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from nvflare.fuel.flare_api.api_spec import NoConnection

from fedjob.protocol.config import ServerConfig
from fedjob_runtime.server.agent import nvflare_server as module
from fedjob_runtime.server.agent.nvflare_server import Parent
from fedjob_runtime.server.orders import ParentError
from support.site_configs import server_config


class Child:
    """The server process."""

    def __init__(self, command: list[str], env: Mapping[str, str]) -> None:
        self.command, self.env = command, env
        self.code: int | None = None
        self.killed = False

    def poll(self) -> int | None:
        return self.code


class Session:
    """An admin session; `error` is raised by every call."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls: list[tuple[Any, ...]] = []
        self.closed = False

    def submit_job(self, folder: str) -> str:
        return self._called("submit", folder) or "job-1"

    def abort_job(self, job: str) -> None:
        self._called("abort", job)

    def shutdown(self, target: str, *, wait: bool) -> None:
        self._called("shutdown", target, wait)

    def close(self) -> None:
        self.closed = True
        if self.error is not None:
            raise self.error

    def _called(self, *call: Any) -> str:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return ""


class Flare:
    """Processes and sessions that the parent opens."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.session = Session()
        self.opened: list[tuple[Any, ...]] = []
        self.refusal: Exception | None = None
        self.children: list[Child] = []
        patch.setattr(module, "start_child", self._start)
        patch.setattr(module, "kill_tree", self._kill)
        patch.setattr(module, "new_secure_session", self._open)

    def _start(self, command: list[str], env: Mapping[str, str]) -> Child:
        self.children.append(Child(command, env))
        return self.children[-1]

    def _kill(self, child: Child) -> None:
        child.killed, child.code = True, -9

    def _open(self, user: str, folder: str, *, timeout: float) -> Session:
        self.opened.append((user, folder))
        if self.refusal is not None:
            raise self.refusal
        return self.session


@pytest.fixture
def flare(monkeypatch: pytest.MonkeyPatch) -> Flare:
    return Flare(monkeypatch)


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    return server_config(tmp_path)


def parent_of(config: ServerConfig, env: Mapping[str, str] | None = None) -> Parent:
    (Path(config.home) / "reports").mkdir(parents=True, exist_ok=True)
    return Parent(config, Path(config.home), env or {})


def in_home(config: ServerConfig, path: str) -> Any:
    return json.loads((Path(config.home) / path).read_text())


@pytest.mark.parametrize(("http_host", "host"), [("127.0.0.1", "127.0.0.1"), ("10.0.0.7", "0")])
def test_server_listens_where_the_status_is_served(
    tmp_path: Path, http_host: str, host: str
) -> None:
    config = server_config(tmp_path, http_host=http_host)
    parent_of(config).prepare()
    [server] = in_home(config, "nvflare/startup/fed_server.json")["servers"]
    assert server["service"] == {"target": f"{host}:8002", "scheme": "grpc"}
    assert server["name"] == "digits", "the rest of the kit is left as it is"


def test_settings_of_the_job_reach_nvflare(config: ServerConfig) -> None:
    parent_of(config).prepare()
    resources = in_home(config, "nvflare/local/resources.json")
    [server] = resources["servers"]
    assert server["heart_beat_timeout"] == 45
    assert server["max_num_clients"] == 100
    parts = {part["id"]: part for part in resources["components"]}
    assert parts["registry"]["args"] == {"folder": f"{config.home}/reports"}
    assert parts["job_scheduler"]["args"]["max_schedule_interval"] == 2.0
    assert in_home(config, "nvflare/local/comm_config.json")
    admin = in_home(config, "admin/startup/fed_admin.json")["admin"]
    assert (admin["host"], admin["upload_dir"]) == ("localhost", config.home)
    # A round may be longer than NVFlare's default of 15 minutes.
    assert in_home(config, "admin/local/resources.json")["admin"]["idle_timeout"] > 86_400


def test_job_is_submitted_by_a_path_relative_to_the_home(
    flare: Flare, config: ServerConfig
) -> None:
    """NVFlare parses the path as part of a command, where quotes and spaces vanish."""
    parent = parent_of(config)
    for _ in range(2):
        assert parent.submit(Path(config.home) / "segments/100001") == "job-1"
    assert flare.session.calls == [("submit", "segments/100001")] * 2
    assert flare.opened == [("admin@fedjob.local", f"{config.home}/admin")], "one session"


def test_session_that_cannot_be_opened_is_an_error_of_the_parent(
    flare: Flare, config: ServerConfig
) -> None:
    flare.refusal = NoConnection("nobody listens")
    with pytest.raises(ParentError, match="no admin session with NVFlare: nobody listens"):
        parent_of(config).shut_clients_down()


def test_job_that_is_over_may_be_aborted(flare: Flare, config: ServerConfig) -> None:
    flare.session.error = RuntimeError("no such job")
    parent_of(config).abort("job-1")
    assert flare.session.calls == [("abort", "job-1")]


def test_kill_ends_session_and_process_and_a_start_opens_another_session(
    flare: Flare, config: ServerConfig
) -> None:
    parent = parent_of(config)
    parent.start()
    parent.submit(Path(config.home) / "segments/1")
    flare.session.error = OSError("broken pipe")
    parent.kill()
    assert flare.session.closed
    assert flare.children[0].killed
    assert not parent.alive
    parent.kill()
    flare.session = Session()
    parent.start()
    parent.submit(Path(config.home) / "segments/2")
    assert len(flare.opened) == 2
    flare.children[1].code = 1
    assert not parent.alive

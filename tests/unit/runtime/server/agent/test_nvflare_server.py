"""NVFlare's answers to a submission, and the environment of its process; the rest runs for real."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nvflare.fuel.flare_api.api_spec import (
    AuthorizationError,
    InternalError,
    InvalidArgumentError,
    InvalidJobDefinition,
    JobNotDone,
    NoConnection,
    SessionClosed,
)

from fedjob.protocol.config import ServerConfig
from fedjob.reasons import Reason
from fedjob_runtime.server.agent import nvflare_server
from fedjob_runtime.server.agent.nvflare_server import Parent
from fedjob_runtime.server.orders import ParentError, SegmentRefusedError


class FakeSession:
    """An admin session that answers each command with `answer`."""

    def __init__(self, answer: Callable[[str], object]) -> None:
        self._answer = answer

    def submit_job(self, path: str) -> object:
        return self._answer(path)

    def shutdown(self, _target: str, *, wait: bool) -> object:
        assert not wait
        return self._answer("shutdown")


@pytest.fixture
def parent_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[str], object]], Parent]:
    def make(answer: Callable[[str], object]) -> Parent:
        monkeypatch.setattr(
            nvflare_server, "new_secure_session", lambda *_, **__: FakeSession(answer)
        )
        config = SimpleNamespace(
            home=str(tmp_path / "home"), job_folder="/job", name="a", device="cpu"
        )
        return Parent(cast(ServerConfig, config), tmp_path, {"PATH": "/bin"})

    return make


def raises(error: Exception) -> Callable[[str], object]:
    def answer(_: str) -> object:
        raise error

    return answer


Make = Callable[[Callable[[str], object]], Parent]


def test_path_of_a_segment_is_relative_to_the_home(parent_with: Make, tmp_path: Path) -> None:
    """Quotes and spaces of the run's folder would vanish in NVFlare's command."""
    parent = parent_with(lambda path: f"job of {path}")
    assert parent.submit(tmp_path / "home/segments/segment-3") == "job of segments/segment-3"


@pytest.mark.parametrize(
    "error",
    [
        InvalidJobDefinition("deploy_map is empty for job segment-1"),
        InvalidArgumentError("no study"),
        AuthorizationError("user not authorized for the action 'submit_job'"),
    ],
)
def test_refusal_of_the_job_itself_is_final(
    parent_with: Make, error: Exception, tmp_path: Path
) -> None:
    with pytest.raises(SegmentRefusedError, match="NVFlare refuses this job: ") as caught:
        parent_with(raises(error)).submit(tmp_path)
    assert str(error) in str(caught.value)
    assert caught.value.reason is Reason.FEDERATION_FAILED


@pytest.mark.parametrize(
    "error",
    [
        NoConnection("cannot connect to server"),
        SessionClosed("session closed"),
        InternalError("server internal error: disk"),
        RuntimeError("runtime error encountered"),
    ],
)
def test_everything_else_may_pass_with_a_fresh_parent(
    parent_with: Make, error: Exception, tmp_path: Path
) -> None:
    with pytest.raises(ParentError, match="did not take the segment"):
        parent_with(raises(error)).submit(tmp_path)


def test_clients_are_shut_down_once_no_job_runs(parent_with: Make) -> None:
    assert parent_with(lambda _: None).shut_clients_down()
    assert not parent_with(raises(JobNotDone("still running"))).shut_clients_down()
    with pytest.raises(ParentError):
        parent_with(raises(NoConnection("away"))).shut_clients_down()


def test_job_processes_get_the_job_and_the_shared_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: dict[str, Any] = {}

    def start(command: list[str], env: dict[str, str]) -> SimpleNamespace:
        started.update(command=command, env=env)
        return SimpleNamespace(poll=lambda: None)

    monkeypatch.setattr(nvflare_server, "start_child", start)
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "clients.json").write_text(json.dumps({}))
    config = SimpleNamespace(home=str(tmp_path), job_folder="/job", name="a", device="cuda")
    parent = Parent(cast(ServerConfig, config), tmp_path, {"PYTHONPATH": "/own"})
    assert not parent.alive
    parent.start()
    assert parent.alive
    assert started["env"]["FEDJOB_HANDOVER"] == str(tmp_path)
    assert started["env"]["PYTHONPATH"] == "/job/app/custom:/own"
    assert started["env"]["FEDJOB_DEVICE"] == "cuda"
    assert not (reports / "clients.json").exists(), "what the last process published is removed"

"""`fedjob-worker`: preparation, NVFlare's client, and the exit code of each end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fedjob.errors import FedjobError, InvalidInputError
from fedjob.protocol.config import WorkerConfig
from fedjob_runtime import termination_message
from fedjob_runtime.nvflare_site.kit_check import KitError
from fedjob_runtime.worker import main as module
from fedjob_runtime.worker.shard_download import ShardUnavailableError
from support.site_configs import worker_config, written


class Client:
    """NVFlare's client process; `polls` are its answers, the last one for ever."""

    def __init__(self, *polls: int | None) -> None:
        self._polls = list(polls)
        self.command: list[str] = []
        self.env: Mapping[str, str] = {}
        self.returncode: int | None = None
        self.terminated = self.killed = False
        self.at_poll: Callable[[], None] = lambda: None

    def poll(self) -> int | None:
        self.at_poll()
        self.returncode = self._polls.pop(0) if len(self._polls) > 1 else self._polls[0]
        return self.returncode

    def terminate(self) -> None:
        self.terminated = True

    def wait(self, seconds: float) -> int:
        raise subprocess.TimeoutExpired("client", seconds)


class Memory:
    """Of which the kernel has killed a process, or not."""

    exceeds = False

    def exceeded(self) -> bool:
        return self.exceeds


class Worker:
    """Runs the command with fakes for what it starts and downloads."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.config = worker_config(folder)
        self.home = Path(self.config.home)
        self.client = Client(None, 0)
        self.preparing: FedjobError | None = None
        self.prepared: list[WorkerConfig] = []
        self._folder = folder
        patch.setattr(termination_message, "TERMINATION_LOG", folder / "termination-log")
        patch.setattr(module, "environment_with_fork_server", lambda env: {**env, "FORK": "1"})
        patch.setattr(module, "check_kit", lambda kit, worker: None)
        patch.setattr(module, "prepare_shard", self._prepare)
        patch.setattr(module, "start_child", self._start)
        patch.setattr(module, "kill_tree", self._kill)
        patch.setattr(module, "MemoryWatch", Memory)
        (folder / "termination-log").touch()

    def _prepare(self, config: WorkerConfig, say: Callable[[str], None]) -> None:
        if self.preparing is not None:
            raise self.preparing
        say("the shard is ready")
        self.prepared.append(config)

    def _start(self, command: list[str], env: Mapping[str, str]) -> Client:
        self.client.command, self.client.env = command, env
        return self.client

    def _kill(self, client: Client) -> None:
        client.killed = True

    def run(self) -> int:
        return module.main(written(self.config, self._folder))

    @property
    def state(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.home / "worker.json").read_text())
        return found

    @property
    def left(self) -> dict[str, Any]:
        text = (self._folder / "termination-log").read_text()
        return json.loads(text) if text else {}


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    handlers = [(each, signal.getsignal(each)) for each in (signal.SIGTERM, signal.SIGINT)]
    yield Worker(tmp_path, monkeypatch)
    for number, handler in handlers:
        signal.signal(number, handler)


def test_client_runs_in_the_prepared_site_with_the_job_in_its_environment(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/own")
    (worker.home / "site").mkdir(parents=True)
    (worker.home / "site/shutdown.fl").touch()
    assert worker.run() == 0
    assert worker.state["state"] == "Done"
    assert [config.worker for config in worker.prepared] == ["worker-0"]
    assert "uid=worker-0" in worker.client.command
    assert str(worker.home / "site") in worker.client.command
    custom = f"{worker.config.job_folder}/app/custom"
    assert worker.client.env["PYTHONPATH"] == f"{custom}{os.pathsep}/own"
    expected = {"FORK": "1", module.ENV_WORKER: "worker-0", module.ENV_JOB_ID: "digits"}
    assert expected.items() <= worker.client.env.items()
    assert (worker.home / "site/startup/fed_client.json").is_file()
    assert capsys.readouterr().out == "fedjob-worker: the shard is ready\n"
    assert worker.left == {}


def test_gpus_are_not_counted_again_by_nvflare(worker: Worker) -> None:
    worker.run()
    resources = json.loads((worker.home / "site/local/resources.json").read_text())
    parts = {part["id"]: part for part in resources["components"]}
    assert parts["resource_manager"]["args"]["num_of_gpus"] == 0
    assert parts["process_launcher"]["path"] == "fedjob_runtime.processes.launchers.ClientLauncher"
    assert "fedjob_runtime." in resources["class_allow_list"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KitError("worker-0: the kit is another worker's"), 64),
        (InvalidInputError([]), 64),
        (ShardUnavailableError("the store answers 503"), 75),
    ],
)
def test_faulty_shard_or_kit_ends_for_good_and_an_unavailable_one_does_not(
    worker: Worker, error: FedjobError, code: int
) -> None:
    worker.preparing = error
    assert worker.run() == code
    assert worker.state == {"state": "Failed", "message": str(error)}
    assert worker.left == {"phase": "Failed", "reason": error.reason, "message": str(error)}
    assert worker.client.command == [], "no client is started"


@pytest.mark.parametrize(("ended", "code"), [(0, 75), (3, 3), (-9, -9)])
def test_client_that_ends_without_the_servers_order_is_started_again(
    worker: Worker, capsys: pytest.CaptureFixture[str], ended: int, code: int
) -> None:
    worker.client = Client(None, ended)
    assert worker.run() == code
    assert f"the NVFlare client ended with code {ended}" in capsys.readouterr().out
    assert worker.state["state"] == "Running", "whoever starts it again decides what that means"


def test_out_of_memory_is_reported_at_once(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Memory, "exceeds", True)
    worker.client = Client(None)
    assert worker.run() == 137
    assert worker.client.killed
    assert worker.left["reason"] == "OutOfMemory"
    assert "reduce batch_size" in worker.left["message"]
    assert worker.state == {"state": "Failed", "message": worker.left["message"]}


def test_sigterm_drains_the_client_for_a_bounded_time(worker: Worker) -> None:
    worker.client = Client(None)
    worker.client.at_poll = lambda: os.kill(os.getpid(), signal.SIGTERM)
    assert worker.run() == 143
    assert worker.client.terminated
    assert worker.client.killed, "it did not end by itself"

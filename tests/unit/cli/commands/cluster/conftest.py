"""`fedjob ...` in this process, against a fake API server whose kubeconfig is the default one."""

from __future__ import annotations

import signal
import sys

import pytest

from fedjob.cli.app import main
from support.cluster.fake_api_server import fake_api_server
from support.cluster.fake_store import fake_store
from support.cluster.fake_transfers import fake_transfers


@pytest.fixture
def fake(tmp_path, monkeypatch):
    with fake_api_server() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path)))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.chdir(tmp_path)
        for namespace in ("team", "mine", "filed"):
            server.routes[f"/api/v1/namespaces/{namespace}/events"] = {"items": []}
        yield server


@pytest.fixture
def store(fake):
    with fake_store() as found, fake_transfers(fake, found):
        yield found


class Called:
    """What a command has printed, and its exit code."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def fedjob(fake, monkeypatch, capsys):
    """Calls `fedjob` with arguments."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["fedjob", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        shown = capsys.readouterr()
        return Called(code, shown.out, shown.err)

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def running(**more):
    """The status of a job in its second round."""
    return {
        "state": "Training", "observedGeneration": 1,
        "rounds": {"completed": 2, "total": 5},
        "clients": {"expected": 2, "connected": 2, "list": [
            {"name": "worker-0", "shard": "a.zip", "state": "Training", "samples": 700},
            {"name": "worker-1", "shard": "b.zip", "state": "Answered", "samples": 45},
        ]},
        "metrics": {"val_accuracy": 0.9},
        "history": [
            {"round": 1, "clients": 2, "samples": 745, "metrics": {"val_accuracy": 0.8},
             "seconds": 2.5},
            {"round": 2, "clients": 2, "samples": 745, "metrics": {"val_accuracy": 0.9},
             "seconds": 1.25},
        ],
        **more,
    }  # fmt: skip


def complete(**more):
    """The status of a job that has ended well."""
    return running(state="Complete", rounds={"completed": 5, "total": 5}, **more)


def failed(**more):
    """The status of a job that has failed."""
    return running(state="Failed", reason="OutOfMemory", message="reduce batch_size", **more)


@pytest.fixture
def status():
    """Statuses of a job by their names."""
    return {"running": running, "complete": complete, "failed": failed}

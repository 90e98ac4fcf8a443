"""What the engine does with the folder before it starts anything."""

import hashlib
import threading
from pathlib import Path

import pytest

from fedjob.engines.base import Engine, RunHandle
from fedjob.engines.local import engine as module
from fedjob.engines.local.engine import LocalEngine
from fedjob.engines.local.handle import LocalHandle
from fedjob.engines.local.interruption import InterruptedRunError
from fedjob.engines.local.lock import FolderInUseError, RunLock
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.result import ModelFile, RoundLine, RunResult, RunState
from fedjob.errors import InvalidInputError, UnavailableError
from fedjob.preparation.prepared import PreparedRun
from fedjob.spec import FederatedJob
from fedjob.spec.models.status import JobState

JOB = FederatedJob.model_validate(
    {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "tiny"},
        "spec": {
            "model": {"source": {"inline": "x = 1"}, "className": "Net"},
            "federation": {"numRounds": 2},
        },
    }
)
FILES = {"meta.json": b"{}", "app/config/config_fed_server.json": b"{}"}
RESULT = RunResult(name="tiny", namespace="default", state=RunState.FAILED)


class Run:
    """In place of LocalRun: ends when it is allowed to, or when it is interrupted."""

    status = None
    allowed = None

    def __init__(self, prepared, folder, observer, commands, interruption):
        self.folder, self.interruption = folder, interruption

    def run(self):
        while not self.allowed.wait(0.01):
            self.interruption.check()
        RESULT.write(self.folder.result)
        return RESULT


@pytest.fixture
def allowed(monkeypatch):
    event = threading.Event()
    monkeypatch.setattr(Run, "allowed", event)
    monkeypatch.setattr(module, "LocalRun", Run)
    yield event
    event.set()


def prepared(digest="1"):
    return PreparedRun(
        job=JOB,
        num_classes=2,
        shards=(),
        validation=None,
        checkpoint=None,
        job_files=FILES,
        digests={"model file": digest},
    )


@pytest.fixture
def folder(tmp_path):
    return RunFolder.at(tmp_path / "out")


def test_engine_and_handle_have_the_verbs_of_their_interfaces(folder):
    for interface, made in ((Engine, LocalEngine), (RunHandle, LocalHandle)):
        assert interface in made.__mro__
        verbs = {name for name in vars(interface) if not name.startswith("_")}
        assert verbs
        assert all(getattr(made, name) is not getattr(interface, name) for name in verbs)


def test_submitted_run_is_followed_through_its_handle(folder, allowed):
    run = LocalEngine(prepared(), folder).submit()
    assert run.running
    assert run.result() is None
    with pytest.raises(UnavailableError, match=r"still running after 0\.1 s"):
        run.wait(0.1)
    with pytest.raises(FolderInUseError):
        LocalEngine(prepared(), folder).submit()
    allowed.set()
    assert run.wait(30) == RESULT
    assert not run.running


def test_suspended_run_can_be_resumed_by_the_same_job_only(folder, allowed):
    run = LocalEngine(prepared(), folder).submit()
    run.suspend()
    with pytest.raises(InterruptedRunError, match="resume from there"):
        run.wait()
    with pytest.raises(InvalidInputError, match="model file"):
        LocalEngine(prepared("2"), folder).submit()
    allowed.set()
    assert LocalEngine(prepared(), folder).run() == RESULT


def test_suspended_run_is_resumed_through_a_handle_of_its_folder(folder, allowed):
    LocalEngine(prepared(), folder).submit().suspend()
    run = LocalHandle(folder)
    assert (run.name, run.namespace) == ("tiny", "default")
    assert run.status().state is JobState.SUSPENDED
    assert [status.state for status in run.follow()] == [JobState.SUSPENDED]
    run.resume()
    assert run.running
    run.resume()  # of a run under way: it is left alone
    assert run.status().state is JobState.STARTING
    allowed.set()
    assert run.wait(30) == RESULT
    assert run.status().state is JobState.FAILED


def test_fresh_forgets_the_other_job(folder, allowed):
    allowed.set()
    LocalEngine(prepared("1"), folder).run()
    (folder.state / "store").mkdir()
    assert LocalEngine(prepared("2"), folder, fresh=True).run() == RESULT
    assert not (folder.state / "store").exists()
    assert folder.lock.exists()


def test_cancelled_run_leaves_no_state(folder, allowed):
    run = LocalEngine(prepared(), folder).submit()
    run.cancel()
    assert not folder.state.exists()


def test_complete_run_is_not_run_again(folder, allowed, monkeypatch):
    allowed.set()
    LocalEngine(prepared(), folder).run()
    folder.model.write_bytes(b"w")
    folder.model_pt.touch()
    folder.report.touch()
    line = RoundLine(round=2, clients=1, samples=1, metrics={}, seconds=1.0)
    model = ModelFile(sha256=hashlib.sha256(b"w").hexdigest(), size=1)
    done = RESULT.model_copy(update={"state": RunState.COMPLETE, "rounds": [line], "model": model})
    done.write(folder.result)
    monkeypatch.setattr(module, "LocalRun", None)
    assert LocalEngine(prepared(), folder).run() == done


def test_folder_of_somebody_else_is_refused_while_it_is_in_use(folder, allowed):
    with RunLock(folder.lock), pytest.raises(FolderInUseError, match="--out"):
        LocalEngine(prepared(), folder).run()
    assert not Path(folder.record).exists()

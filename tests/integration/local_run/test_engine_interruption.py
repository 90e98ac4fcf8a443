"""Signals: the first raises, later ones hurry; a folder's run seen from another process."""

import signal
import subprocess
import sys

import pytest

from fedjob.engines.local.handle import LiveRun, LocalHandle
from fedjob.engines.local.interruption import Interrupt, Interruption
from fedjob.engines.local.lock import RunLock
from fedjob.engines.local.processes.commands import NotInstalledError, require_local_packages
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.result import RunResult, RunState
from fedjob.errors import InvalidInputError, UnavailableError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_raises_and_the_next_only_hurry(number):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        with pytest.raises(Interrupt, match=signal.Signals(number).name):
            signal.raise_signal(number)
        assert not interruption.hurry
        signal.raise_signal(number)
        assert interruption.hurry
    assert signal.getsignal(number) == before


def test_no_signal_breaks_off_the_clean_up():
    with Interruption() as interruption:
        interruption.close()
        signal.raise_signal(signal.SIGINT)
        assert interruption.hurry


def test_missing_packages_are_named(monkeypatch):
    require_local_packages()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotInstalledError, match=r"torch, nvflare.*pip install 'fedjob\[local\]'"):
        require_local_packages()


HOLDER = """
import os, signal, sys
from pathlib import Path
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.local.handle import LiveRun
from fedjob.engines.local.lock import RunLock
folder = RunFolder.at(Path(sys.argv[1]))
with RunLock(folder.lock):
    live = LiveRun(pid=os.getpid(), http_port=int(sys.argv[2]))
    folder.live.write_text(live.model_dump_json(by_alias=True))
    print("up", flush=True)
    signal.sigwait([signal.SIGTERM])
    folder.live.unlink()
"""


def test_a_run_is_found_stopped_and_forgotten_from_another_process(tmp_path):
    folder = RunFolder.at(tmp_path)
    handle = LocalHandle(folder)
    assert handle.status() is None
    assert list(handle.follow()) == []
    code = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [15])\n" + HOLDER
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), "1"], stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"up\n"
        assert handle.running
        assert handle.status() is None, "its server does not answer"
        with pytest.raises(UnavailableError, match="still running after"):
            handle.wait(0.1)
        handle.suspend()
        assert not handle.running
        holder.wait(30)
    with pytest.raises(UnavailableError, match="run it again"):
        handle.wait()
    RunResult(name="x", namespace="default", state=RunState.COMPLETE).write(folder.result)
    assert handle.wait().state is RunState.COMPLETE
    handle.cancel()
    assert not folder.state.exists()
    assert folder.result.exists(), "what was delivered stays"


def test_the_lines_of_a_process(tmp_path):
    folder = RunFolder.at(tmp_path)
    handle = LocalHandle(folder)
    with pytest.raises(InvalidInputError, match="run the job first"):
        list(handle.logs("server"))
    folder.logs.mkdir(parents=True)
    folder.log("server").write_bytes(b"one\ntw\xffo\n")
    assert list(handle.logs("server")) == ["one", "tw�o"]
    with pytest.raises(InvalidInputError, match="one of: server"):
        list(handle.logs("../../../etc/passwd"))


def test_rubbish_is_no_live_run(tmp_path):
    folder = RunFolder.at(tmp_path)
    with RunLock(folder.lock):
        folder.live.write_text("{")
        assert LocalHandle(folder).status() is None
    assert LiveRun(pid=1, http_port=80).model_dump(by_alias=True) == {"pid": 1, "httpPort": 80}

"""The fork server: its processes equal new Pythons, and none outlives its client."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from fedjob.protocol.config import ENV_FORK_SERVER
from fedjob_runtime.processes import launchers
from fedjob_runtime.processes.children import descendants
from fedjob_runtime.processes.fork_client import ForkedProcess, NotForkedError, fork_process
from fedjob_runtime.processes.fork_server import FIXED_SEED
from support.federation import HERE

pytestmark = pytest.mark.federation

SHOW = """
import json, os, sys
already = "torch" in sys.modules
import numpy, torch
with open("shown.json", "w") as file:
    json.dump({
        "argv": sys.argv, "name": __name__, "env": dict(os.environ), "torch": already,
        "path": sys.path, "session": os.getsid(0), "pid": os.getpid(),
        "files": os.listdir("/proc/self/fd"),
        "threads": torch.get_num_threads(), "random": numpy.random.random(),
        "torch random": torch.rand(1).item(), "main": sys.modules["__main__"].__dict__ is globals(),
    }, file)
print("to output")
print("to error", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
SLEEP = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "600"])
with open("children", "w") as file:
    file.write(str(child.pid))
time.sleep(600)
"""
ASK = """
import os, sys, time
from fedjob_runtime.processes.fork_client import fork_process
process = fork_process([sys.executable, "-m", "slumber"], dict(os.environ))
print(process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def fork_server() -> Iterator[tuple[int, str]]:
    """(process id, name)."""
    name = f"fedjob-test-{uuid.uuid4().hex}"
    command = [sys.executable, "-m", "fedjob_runtime.processes.fork_server", name]
    env = {**os.environ, "PYTHONPATH": HERE, "OMP_NUM_THREADS": "2", "MARK": "fork-server"}
    process = subprocess.Popen(command, env=env)
    until(lambda: f"\0{name}".encode() in sockets())
    yield process.pid, name
    process.kill()
    process.wait()


@pytest.fixture
def env(
    fork_server: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Of a process that runs in `tmp_path`, where its modules are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "show.py").write_text(SHOW)
    (tmp_path / "slumber.py").write_text(SLEEP)
    return {
        "PYTHONPATH": f"{tmp_path}:{HERE}",
        "PATH": os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
        ENV_FORK_SERVER: fork_server[1],
    }


def sockets() -> bytes:
    return Path("/proc/net/unix").read_bytes().replace(b"@", b"\0")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def living(pid: int) -> bool:
    """Whether it runs; one that only waits to be reaped does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def shown(env: dict[str, str], *arguments: str) -> tuple[ForkedProcess, dict[str, object]]:
    process = fork_process([sys.executable, "-m", "show", *arguments], env)
    process.wait()
    return process, json.loads(Path("shown.json").read_text())


def test_it_is_what_a_new_python_would_be_with_torch_there_already(
    env: dict[str, str],
    fork_server: tuple[int, str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    process, forked = shown(env, "7", "two arguments")
    assert process.poll() == 7
    out, err = capfd.readouterr()
    assert (out, err) == ("to output\n", "to error\n")
    subprocess.run([sys.executable, "-m", "show", "0", "two arguments"], env=env, check=True)
    started = json.loads((tmp_path / "shown.json").read_text())
    assert (forked.pop("torch"), started.pop("torch")) == (True, False)
    assert forked["session"] == forked["pid"] == process.pid
    # Its ids and its exit code differ, and a forked process gets no fork server.
    for each in (forked, started):
        each["argv"] = each["argv"][2:]  # type: ignore[index]
        each["env"].pop(ENV_FORK_SERVER, None)  # type: ignore[attr-defined]
        each["env"].pop("LC_CTYPE", None)  # type: ignore[attr-defined] (Python's own, in a C locale)
        each["path"] = [p for p in each["path"] if "__editable__" not in p]  # type: ignore[attr-defined]
        for name in ("session", "pid", "random", "torch random"):
            del each[name]
    assert forked == started
    assert forked["name"] == "__main__"


def test_two_of_them_draw_different_numbers_and_hold_nothing_of_each_other(
    env: dict[str, str], fork_server: tuple[int, str]
) -> None:
    sleeper = fork_process([sys.executable, "-m", "slumber"], env)
    _, one = shown(env, "0")
    _, two = shown(env, "0")
    assert one["random"] != two["random"]
    # Before it draws a seed at its import, torch starts alike in every process.
    assert (one["torch random"] == two["torch random"]) == (torch.initial_seed() == FIXED_SEED)
    assert one["files"] == two["files"]
    sleeper.terminate()
    sleeper.wait()


def test_its_command_line_is_shown_and_its_environment_is_the_forges(
    env: dict[str, str], fork_server: tuple[int, str]
) -> None:
    process = fork_process([sys.executable, "-m", "slumber", "an-argument"], env)
    until(lambda: Path("children").exists())
    line = Path(f"/proc/{process.pid}/cmdline").read_bytes().rstrip(b"\0").decode()
    assert line == f"{sys.executable} -m slumber an-argument"
    assert b"MARK=fork-server" in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    assert process.pid in descendants(fork_server[0])
    process.terminate()
    process.wait()


def test_terminate_kills_it_and_its_group(env: dict[str, str]) -> None:
    process = fork_process([sys.executable, "-m", "slumber"], env)
    until(lambda: Path("children").exists() and Path("children").read_text())
    assert process.poll() is None
    process.terminate()
    process.wait()
    assert process.poll() == -signal.SIGKILL
    until(lambda: not living(int(Path("children").read_text())))
    process.terminate()  # a second call does nothing


def test_it_ends_with_whoever_asked_for_it(env: dict[str, str]) -> None:
    asker = subprocess.Popen([sys.executable, "-c", ASK], env=env, stdout=subprocess.PIPE)
    assert asker.stdout is not None
    pid = int(asker.stdout.readline())
    assert living(pid)
    asker.kill()
    asker.communicate()
    until(lambda: not living(pid))


def test_processes_end_with_the_fork_server_and_a_new_python_is_started_then(
    env: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"fedjob-test-{uuid.uuid4().hex}"
    command = [sys.executable, "-m", "fedjob_runtime.processes.fork_server", name]
    own = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": HERE})
    until(lambda: f"\0{name}".encode() in sockets())
    env[ENV_FORK_SERVER] = name
    process = fork_process([sys.executable, "-m", "slumber"], env)
    until(lambda: Path("children").exists())
    own.kill()
    own.wait()
    process.wait()
    assert process.poll() == -signal.SIGKILL
    until(lambda: not living(process.pid))
    adapter = launchers.spawn([sys.executable, "-m", "show", "3"], env)
    adapter.wait()
    assert adapter.poll() == 3
    assert json.loads((tmp_path / "shown.json").read_text())["torch"] is False
    assert "started as a new Python" in caplog.text


@pytest.mark.parametrize(
    ("file", "fragment"),
    [
        ("torch.py", "['torch']"),
        ("json/__init__.py", "['json']"),
        ("sitecustomize.py", "['sitecustomize']"),
    ],
)
def test_modules_that_would_come_before_what_is_imported_need_a_new_python(
    env: dict[str, str], tmp_path: Path, file: str, fragment: str
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    with pytest.raises(NotForkedError, match="imported already") as error:
        fork_process([sys.executable, "-m", "show", "0"], env)
    assert fragment in str(error.value)


@pytest.mark.parametrize("argv", [["sh", "-c", "true"], [sys.executable], []])
def test_only_modules_are_run(env: dict[str, str], argv: list[str]) -> None:
    with pytest.raises(NotForkedError, match="python -m MODULE"):
        fork_process(argv, env)


def test_other_messages_are_refused_and_other_users_are_not_served(
    fork_server: tuple[int, str], env: dict[str, str]
) -> None:
    for body in (b"not JSON", b"{}", b'{"argv": 1}'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(f"\0{fork_server[1]}")
            connection.send(body)
            assert "refused" in json.loads(connection.recv(4096))
    if os.geteuid() == 0:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            os.seteuid(65534)
            try:
                connection.connect(f"\0{fork_server[1]}")
            finally:
                os.seteuid(0)
            assert connection.recv(4096) == b""
    _, forked = shown(env, "0")
    assert forked["torch"] is True

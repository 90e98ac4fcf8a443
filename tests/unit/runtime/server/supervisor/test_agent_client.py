"""The supervisor's orders, and an agent that is absent, slow, hostile or of another release."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedjob_runtime.server.agent.main import listen
from fedjob_runtime.server.clock import SystemClock
from fedjob_runtime.server.orders import PROTOCOL, ParentError, SegmentRefusedError
from fedjob_runtime.server.supervisor import agent_client as module
from fedjob_runtime.server.supervisor.agent_client import AgentClient

Answer = Callable[[dict[str, Any]], bytes]


class FakeAgent:
    """Answers each order with `answer`; b"" closes the connection."""

    def __init__(self, reports: Path) -> None:
        self.orders: list[dict[str, Any]] = []
        self.connections = 0
        self.closed = threading.Event()
        self.answer: Answer = lambda _: b"{}\n"
        self._listener = listen(reports)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                # The client may close a connection while it is written to.
                with (
                    contextlib.suppress(ConnectionError),
                    connection,
                    connection.makefile("rb") as lines,
                ):
                    for line in lines:
                        self.orders.append(json.loads(line))
                        answer = self.answer(self.orders[-1])
                        if not answer:
                            break
                        connection.sendall(answer)
                self.closed.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    made = FakeAgent(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentClient]:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    made = AgentClient(tmp_path, SystemClock())
    yield made
    made.kill()


def says(**answer: Any) -> Answer:
    return lambda _: json.dumps(answer).encode() + b"\n"


def test_orders_are_sent_and_their_answers_returned(agent: FakeAgent, client: AgentClient) -> None:
    assert not client.alive, "before the first start"
    client.start()
    agent.answer = says(alive=True, out_of_memory=False)
    assert client.alive
    assert not client.exceeded()
    agent.answer = says(count=2)
    assert client.peers() == 2
    agent.answer = says(job="job-7")
    assert client.submit(segment=7, start_round=2, clients=["worker-0"]) == "job-7"
    agent.answer = says(over=True)
    assert client.shut_clients_down()
    client.abort("job-7")
    client.export(3)
    assert agent.orders == [
        {"order": "start", "protocol": PROTOCOL, "fresh": True},
        {"order": "state"},  # for `alive`
        {"order": "state"},  # for `exceeded`, which must not be out of date
        {"order": "peers"},
        {"order": "submit", "segment": 7, "start_round": 2, "clients": ["worker-0"]},
        {"order": "release"},
        {"order": "abort", "job": "job-7"},
        {"order": "export", "round": 3},
    ]
    client.kill()
    assert agent.closed.wait(30), "the agent sees that it must end NVFlare"
    assert not client.alive
    client.start()
    assert agent.connections == 2
    assert agent.orders[-1]["fresh"] is False, "rounds that were offered meanwhile stay"


def test_processes_that_were_killed_for_their_memory_are_remembered(
    agent: FakeAgent, client: AgentClient
) -> None:
    client.start()
    agent.answer = says(alive=False, out_of_memory=True)
    assert not client.alive
    agent.answer = says(alive=True, out_of_memory=False)
    assert client.alive
    assert client.exceeded()


class Second:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_agent_is_asked_once_a_second_whether_the_parent_runs(
    agent: FakeAgent, tmp_path: Path
) -> None:
    clock = Second()
    client = AgentClient(tmp_path, clock)
    client.start()
    agent.answer = says(alive=True, out_of_memory=False)
    assert [client.alive for _ in range(20)] == [True] * 20
    assert len(agent.orders) == 2, "start, and one state"
    agent.answer = says(alive=True, out_of_memory=True)
    assert client.exceeded(), "a kill since then is not missed"
    agent.answer = says(alive=False, out_of_memory=True)
    assert client.alive
    clock.now += module.ALIVE_SECONDS
    assert not client.alive
    agent.answer = says(alive=True)
    assert client.alive, "that it does not run is not believed for longer"
    client.kill()
    assert not client.alive


def test_agent_that_is_absent_is_waited_for(tmp_path: Path, client: AgentClient) -> None:
    with pytest.raises(ParentError, match=r"no agent of NVFlare's server answers within 0\.3 s"):
        client.start()
    late = FakeAgent(tmp_path)
    client.start()
    assert late.orders[0]["fresh"] is True
    late.close()


@pytest.mark.parametrize(
    "answer",
    [b"", b"no JSON\n", b"[]\n", b"[" * 50_000 + b"\n", b"x" * 300_000],
    ids=["closed", "text", "list", "deep", "endless"],
)
def test_hostile_answer_ends_the_connection(
    agent: FakeAgent, client: AgentClient, answer: bytes
) -> None:
    client.start()
    agent.answer = lambda _: answer
    with pytest.raises(ParentError, match="the agent of NVFlare's server did not answer"):
        client.shut_clients_down()
    assert not client.alive
    agent.answer = says(alive=True)
    client.start()
    assert client.alive


def test_agent_that_does_not_answer_counts_as_dead(
    agent: FakeAgent, client: AgentClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.start()
    over = threading.Event()
    monkeypatch.setattr(module, "USUAL_SECONDS", 0.1)
    agent.answer = lambda _: b"" * over.wait(30)
    assert not client.alive
    over.set()


@pytest.mark.parametrize("job", [None, 7, "", "x" * 101])
def test_job_without_an_id_is_an_error(agent: FakeAgent, client: AgentClient, job: object) -> None:
    agent.answer = says(job=job)
    with pytest.raises(ParentError, match="it names no job"):
        client.submit(segment=1, start_round=-1, clients=[])


def test_refusals_are_final_and_errors_are_not(agent: FakeAgent, client: AgentClient) -> None:
    agent.answer = says(refused="of another release")
    with pytest.raises(SegmentRefusedError, match="of another release"):
        client.start()
    with pytest.raises(ParentError):
        client.shut_clients_down()
    agent.answer = says(error="x" * 10_000)
    with pytest.raises(ParentError) as caught:
        client.start()
    assert len(str(caught.value)) == 2000
    client.abort("one that is over")


@pytest.mark.parametrize("place", ["link", "file", "folder"])
def test_only_a_socket_in_the_folder_itself_is_connected_to(
    tmp_path: Path, client: AgentClient, place: str
) -> None:
    """A link could lead to a socket that only the supervisor reaches."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = FakeAgent(elsewhere)
    path = tmp_path / "agent.sock"
    if place == "link":
        path.symlink_to(elsewhere / "agent.sock")
    elif place == "file":
        path.write_bytes(b"")
    else:
        path.mkdir()
    with pytest.raises(ParentError, match="no agent of NVFlare's server answers"):
        client.start()
    assert other.connections == 0
    other.close()


def test_kill_wakes_whoever_waits_for_an_answer(agent: FakeAgent, client: AgentClient) -> None:
    client.start()
    asked, over = threading.Event(), threading.Event()

    def silent(_: dict[str, Any]) -> bytes:
        asked.set()
        over.wait(30)
        return b""

    agent.answer = silent
    errors: list[Exception] = []

    def release() -> None:
        try:
            client.shut_clients_down()
        except ParentError as error:
            errors.append(error)

    waiting = threading.Thread(target=release)
    waiting.start()
    assert asked.wait(30)
    client.kill()
    waiting.join(30)
    over.set()
    assert len(errors) == 1


def test_agent_that_counts_no_connections_is_left(agent: FakeAgent, client: AgentClient) -> None:
    client.start()
    agent.answer = says(count="many")
    with pytest.raises(ParentError, match="counts no connections"):
        client.peers()

"""Two, then three servers of one job alive at once: one log, and the old ones stop themselves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from fedjob.engines.local.store.ports import Ports
from fedjob.protocol.config import ServerConfig
from fedjob.protocol.server_status import ServerStatus
from support.federation import AGENT, MODULES, Federation

pytestmark = pytest.mark.federation

# Each call gives other weights: two servers that make the same round make different models.
MODEL = """
import time
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)


def fl_train_model(payload, out_dir):
    time.sleep(payload["env"]["pause"])
    torch.seed()
    weights = payload["initial_weights"]
    return {"weights": {k: v + torch.rand_like(v) for k, v in weights.items()}, "samples": 2}
"""


class Service:
    """What a Service is in a cluster: one address, behind which the server is now this, now that.

    A switch cuts the connections, as the node of a pod that is given up does.
    """

    def __init__(self, port: int, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def switch(self, target: int) -> None:
        self._target = target
        open_now, self._open = self._open, []
        for each in open_now:
            cut(each)

    def close(self) -> None:
        cut(self._listener)
        self.switch(0)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass
        cut(source)
        cut(sink)


def cut(connection: socket.socket) -> None:
    with closing(connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


class AnotherServer:
    """A further server of the same job: its own folder and ports, the same store."""

    def __init__(self, fed: Federation, name: str, fl_port: int, http_port: int) -> None:
        self._fed, self.name = fed, name
        self.fl_port = fl_port
        kits = {site: fed.folder / "kits" / f"{name}-{site}" for site in ("server", "admin")}
        for site, kit in kits.items():
            shutil.copytree(fed.folder / "kits" / site, kit)
            file = kit / ("fed_server.json" if site == "server" else "fed_admin.json")
            file.write_text(file.read_text().replace(str(fed.fl_port), str(fl_port)))
        config = ServerConfig.model_validate_json((fed.folder / "server.json").read_text())
        config = config.model_copy(
            update={
                "home": str(fed.folder / name),
                "kit": str(kits["server"]),
                "admin_kit": str(kits["admin"]),
                "http_port": http_port,
            }
        )
        self.config = fed.folder / f"{name}.json"
        self.config.write_text(config.model_dump_json(by_alias=True))

    def start(self) -> None:
        keys = self._fed.store.credentials.environment()
        agent = f"{self.name}-agent"
        for site, module, more in ((agent, AGENT, {}), (self.name, "server", keys)):
            with (self._fed.folder / f"{self.name}.log").open("ab") as log:
                self._fed.processes[site] = subprocess.Popen(
                    [sys.executable, "-m", MODULES[module], "--config", str(self.config)],
                    env={**self._fed._env(), **more},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def status(self) -> ServerStatus:
        file = self._fed.folder / self.name / "status.json"
        return ServerStatus.model_validate_json(file.read_text())


@contextmanager
def frozen(fed: Federation, site: str, first: Callable[[], object] = bool) -> Iterator[None]:
    """Stops a server whole: the supervisor, then, once `first` has happened, all below it."""
    tree = [fed.processes[site].pid]
    os.kill(tree[0], signal.SIGSTOP)
    try:
        first()
        below = [fed.processes[f"{site}-agent"].pid, *(pid for pid, _ in fed.descendants(site))]
        for pid in below:
            os.kill(pid, signal.SIGSTOP)
            tree.append(pid)
        yield
    finally:
        for pid in reversed(tree):
            os.kill(pid, signal.SIGCONT)


def wait_for(fed: Federation, what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline, f"{what}\n{fed.logs()}"
        time.sleep(0.05)


def forget_answers(fed: Federation) -> None:
    """The workers train again: otherwise a repeated round has the same answers, and model."""
    for worker in fed.workers:
        shutil.rmtree(fed.home(worker) / "answers", ignore_errors=True)


def objects(fed: Federation) -> dict[str, str]:
    """SHA-256 of every object of the log of rounds."""
    keys = [info.key for info in fed.bucket.list(fed.layout.rounds)]
    return {key: hashlib.sha256(fed.bucket.get_bytes(key)).hexdigest() for key in keys}


def test_of_three_servers_alive_the_newest_commits_and_the_others_stop_themselves(
    federation: Callable[..., Federation],
) -> None:
    """Rows 12, 13. The first has a round ready to commit, the second waits for its workers."""
    rounds = 6
    fed = federation(
        MODEL,
        [2, 2],
        federation={"num_rounds": rounds, "min_clients": 2, "wait_time_after_min_received": 60},
        extra={"pause": 1.0},
    )
    with ExitStack() as stack:
        ports = Ports()
        stack.callback(ports.release)
        public = ports.take()
        service = Service(public, fed.fl_port)
        stack.callback(service.close)
        for worker in fed.workers:
            file = fed.folder / "kits" / worker / "fed_client.json"
            file.write_text(file.read_text().replace(str(fed.fl_port), str(public)))
        others = [
            AnotherServer(fed, name, ports.take(), ports.take()) for name in ("second", "third")
        ]
        stack.enter_context(fed.kept_restarting(*fed.workers))
        fed.start()
        status = fed.until(lambda s: s.completed >= 1 and (s.current or 0) > s.completed)
        ready = fed.home("server") / f"reports/rounds/{status.completed + 1}/round.json"
        with frozen(fed, "server", lambda: wait_for(fed, "a round ready", ready.exists)):
            offered = json.loads(ready.read_text())["sha256"]
            behind = fed.log.commits()[-1]
            forget_answers(fed)
            seen = objects(fed)
            service.switch(others[0].fl_port)
            others[0].start()
            wait_for(fed, "two rounds of the second", lambda: fed.log.commits()[-1] >= behind + 2)
            with frozen(fed, "second"):
                forget_answers(fed)
                seen |= objects(fed)
                last = fed.log.commits()[-1]
                service.switch(others[1].fl_port)
                others[1].start()
                wait_for(fed, "a round of the third", lambda: fed.log.commits()[-1] > last)
        # All three run now. The third finishes, the two others stop themselves.
        for site in ("server", "second"):
            assert fed.processes[site].wait(120) == 1, fed.logs()
        assert fed.processes["third"].wait(180) == 0, fed.logs()

    assert fed.log.commits() == list(range(rounds + 1))
    attempts = [commit.attempt for commit in fed.commits()]
    assert attempts == sorted(attempts), "an older server committed after a newer one"
    assert set(attempts) == {1, 2, 3}
    for ended, number in ((fed.last_status(), 1), (others[0].status(), 2)):
        assert (ended.phase, ended.reason) == ("Failed", "Fenced")
        assert f"this server is attempt {number}" in ended.message
        assert "stop this one" in ended.message
    assert others[1].status().phase == "Complete"
    # Nothing that was there once was replaced, and nothing of a fenced server was added.
    now = objects(fed)
    assert {key: now.get(key) for key in seen} == seen
    assert offered not in now.values(), "the first server's round is in the store"
    for commit in fed.commits():
        assert now[fed.log.model_key(commit)] == commit.sha256
    assert len(now) == 2 * (rounds + 1)

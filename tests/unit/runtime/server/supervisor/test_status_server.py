"""/status, /metrics and /healthz over a real port."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from fedjob.protocol.server_status import ServerStatus
from fedjob_runtime.server.supervisor.metrics import registry_of
from fedjob_runtime.server.supervisor.status_server import StatusServer
from fedjob_runtime.server.supervisor.status_store import StatusStore


class Served:
    def __init__(self) -> None:
        self.healthy = True
        self.store = StatusStore(ServerStatus(total=3))
        registry = registry_of(self.store)
        self.server = StatusServer(self.store, registry, lambda: self.healthy, "127.0.0.1", 0)

    def get(self, path: str) -> tuple[int, str]:
        try:
            url = f"http://127.0.0.1:{self.server.port}{path}"
            with urllib.request.urlopen(url, timeout=30) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    served.server.start()
    yield served
    served.server.stop()


def test_status_is_json_with_its_sequence(served: Served) -> None:
    served.store.update(completed=2)
    code, body = served.get("/status?since=0&wait=30")
    assert code == 200
    assert (json.loads(body)["completed"], json.loads(body)["sequence"]) == (2, 1)


def test_wrong_query_is_the_readers_error(served: Served) -> None:
    assert served.get("/status?since=x")[0] == 400


def test_health_follows_the_loop(served: Served) -> None:
    assert served.get("/healthz") == (200, "ok\n")
    served.healthy = False
    assert served.get("/healthz") == (503, "stuck\n")


def test_metrics_and_other_paths(served: Served) -> None:
    assert "fedjob_rounds_total 3.0" in served.get("/metrics")[1]
    assert served.get("/other") == (404, "paths: /status /metrics /healthz\n")

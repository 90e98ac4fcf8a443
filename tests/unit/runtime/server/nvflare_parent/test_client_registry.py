"""What NVFlare's parent publishes: clients, cells and jobs at every change."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nvflare.apis.event_type import EventType

from fedjob_runtime.server.nvflare_parent.client_registry import ClientRegistry


class Core:
    agents = ("worker-0", "worker-0.job")

    def set_cell_connected_cb(self, callback: Any) -> None:
        self.connected = callback

    def set_cell_disconnected_cb(self, callback: Any) -> None:
        self.disconnected = callback


def engine_of(core: Core, client: Any) -> Any:
    return SimpleNamespace(
        cell=SimpleNamespace(core_cell=core),
        client_manager=SimpleNamespace(clients={"secret-token": client}),
        run_processes={"job": object()},
        job_runner=SimpleNamespace(is_client_outcome_pending=lambda job, client: True),
    )


def test_clients_are_published_and_their_tokens_are_not(tmp_path: Path) -> None:
    core, client = Core(), SimpleNamespace(name="worker-0", last_connect_time=5.0)
    engine = engine_of(core, client)
    registry = ClientRegistry(str(tmp_path))
    context = SimpleNamespace(get_engine=lambda: engine)

    def published() -> dict[str, Any]:
        text = (tmp_path / "clients.json").read_text()
        assert "secret-token" not in text
        value: dict[str, Any] = json.loads(text)
        return value

    registry.handle_event(EventType.BEFORE_PULL_TASK, context)
    assert not (tmp_path / "clients.json").exists(), "an event that changes nobody"
    registry.handle_event(EventType.SYSTEM_START, context)
    first = published()
    assert first["clients"]["worker-0"]["last_heartbeat"] == 5.0
    assert first["cells"] == ["worker-0", "worker-0.job"]
    assert first["jobs"] == ["job"]
    assert first["ended"] == []
    assert engine.job_runner.is_client_outcome_pending("job", "worker-0")
    assert published()["ended"] == ["worker-0.job"]

    core.disconnected(SimpleNamespace(endpoint=SimpleNamespace(name="worker-0")))
    assert published()["clients"] == {}
    core.connected(None)
    assert published()["clients"] == {}, "not before its next message"
    client.last_connect_time = 1e12
    registry.handle_event(EventType.CLIENT_HEARTBEAT_PROCESSED, context)
    assert set(published()["clients"]) == {"worker-0"}

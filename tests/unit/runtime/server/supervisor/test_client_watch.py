"""Who came and went is recorded and shown."""

from __future__ import annotations

from pathlib import Path

from fedjob.protocol.config import WorkerShard
from fedjob.protocol.server_status import ClientState, ServerStatus
from fedjob_runtime.atomic_json import write_json
from fedjob_runtime.server.clock import SystemClock
from fedjob_runtime.server.ipc import SegmentReport
from fedjob_runtime.server.supervisor.client_watch import ClientWatch
from fedjob_runtime.server.supervisor.run_state import RunState
from fedjob_runtime.server.supervisor.status_store import StatusStore
from support.handover import handover_in


def publish(folder: Path, clients: dict[str, str]) -> None:
    now = SystemClock().time()
    write_json(
        folder / "reports/clients.json",
        {
            "clients": {
                name: {"incarnation": incarnation, "last_heartbeat": now}
                for name, incarnation in clients.items()
            },
            "cells": list(clients),
            "jobs": [],
            "ended": [],
        },
    )


def test_a_worker_that_leaves_and_returns_is_counted_once_each(tmp_path: Path) -> None:
    clock = SystemClock()
    handover = handover_in(tmp_path)
    run = RunState(StatusStore(ServerStatus()), handover, clock)
    workers = [WorkerShard(name=f"worker-{i}", shard=f"{i}.zip") for i in range(2)]
    watch = ClientWatch(handover, workers, silence=60, run=run, clock=clock)

    def states() -> list[ClientState]:
        return [client.state for client in run.status.status.clients]

    assert watch.look(None).clients == {}
    assert states() == [ClientState.EXPECTED] * 2
    publish(tmp_path, {"worker-0": "a", "worker-1": "b"})
    watch.look(None)
    publish(tmp_path, {"worker-0": "a"})
    for _ in range(3):
        watch.look(SegmentReport(1, "training", 1, answered={"worker-0": 9}))
    assert states() == [ClientState.ANSWERED, ClientState.LOST]
    publish(tmp_path, {"worker-0": "a", "worker-1": "c"})
    watch.look(None)
    assert states() == [ClientState.CONNECTED] * 2
    assert run.status.status.retries == {"worker": 1}
    assert [(e.reason, e.message) for e in run.status.status.events] == [
        ("Recovering", "the connection to worker-1 is lost"),
        ("WorkerReturned", "worker-1 registered again"),
    ]
    assert [c.samples for c in run.status.status.clients] == [9, 0]

"""Prometheus metrics of a status."""

from __future__ import annotations

from prometheus_client import generate_latest

from fedjob.protocol.server_status import ClientState, ClientView, RunPhase, ServerStatus
from fedjob_runtime.server.supervisor.metrics import registry_of
from fedjob_runtime.server.supervisor.status_store import StatusStore
from support.supervised_run import commit_of


def test_metrics_are_those_of_the_status_when_they_are_scraped() -> None:
    store = StatusStore(ServerStatus(total=5))
    registry = registry_of(store)
    assert "fedjob_round_seconds{" not in generate_latest(registry).decode()
    store.count("worker")
    store.update(
        phase=RunPhase.TRAINING,
        completed=2,
        clients=[ClientView(name="worker-0", shard="a.zip", state=ClientState.LOST)],
        history=[commit_of(2, metrics={"loss": 0.5}, times={"train": 7.0})],
    )
    text = generate_latest(registry).decode()
    for line in (
        "fedjob_rounds_completed 2.0",
        'fedjob_phase{phase="Training"} 1.0',
        'fedjob_phase{phase="Failed"} 0.0',
        'fedjob_clients{state="Lost"} 1.0',
        'fedjob_retries_total{kind="worker"} 1.0',
        'fedjob_round_seconds{part="train"} 7.0',
        'fedjob_model_metric{name="loss"} 0.5',
    ):
        assert line in text

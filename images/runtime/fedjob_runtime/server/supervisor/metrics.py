"""The server's Prometheus metrics, read from the status store when they are scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fedjob.protocol.server_status import ClientState, RunPhase
from fedjob_runtime.server.supervisor.status_store import StatusStore


class StatusCollector(Collector):
    """Turns a status into metrics; names carry their unit."""

    def __init__(self, status: StatusStore) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        status = self._status.status
        yield GaugeMetricFamily(
            "fedjob_rounds_completed", "Committed rounds.", value=status.completed
        )
        yield GaugeMetricFamily("fedjob_rounds_total", "Rounds of the job.", value=status.total)
        yield CounterMetricFamily(
            "fedjob_segments", "NVFlare jobs submitted by this server start.", value=status.segments
        )
        yield GaugeMetricFamily(
            "fedjob_attempt", "Number of this server start.", value=status.attempt
        )
        phase = GaugeMetricFamily(
            "fedjob_phase", "1 for the phase the run is in.", labels=["phase"]
        )
        for each in RunPhase:
            phase.add_metric([each.value], float(each is status.phase))
        yield phase
        clients = GaugeMetricFamily("fedjob_clients", "Workers by state.", labels=["state"])
        for state in ClientState:
            count = sum(client.state is state for client in status.clients)
            clients.add_metric([state.value], count)
        yield clients
        retries = CounterMetricFamily("fedjob_retries", "Transient faults.", labels=["kind"])
        for kind, number in status.retries.items():
            retries.add_metric([kind], number)
        yield retries
        if status.history:
            last = status.history[-1]
            seconds = GaugeMetricFamily(
                "fedjob_round_seconds", "Where the last round's time went.", labels=["part"]
            )
            for part, value in last.times.model_dump().items():
                seconds.add_metric([part], value)
            yield seconds
            metric = GaugeMetricFamily(
                "fedjob_model_metric", "Metrics of the last committed round.", labels=["name"]
            )
            for name, value in last.metrics.items():
                metric.add_metric([name], value)
            yield metric


def registry_of(status: StatusStore) -> CollectorRegistry:
    """A registry of its own, so that several servers in one process do not collide."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(status))
    return registry

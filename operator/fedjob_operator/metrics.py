"""Prometheus metrics of the operator; the metrics of a job are served by its server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

RECONCILES = Counter(
    "fedjob_operator_reconciles", "Reconciles, by result.", ["result"], registry=REGISTRY
)
RECONCILE_SECONDS = Histogram(
    "fedjob_operator_reconcile_seconds",
    "Seconds of one reconcile.",
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
QUEUE_WAITING = Gauge("fedjob_operator_queue_waiting", "Keys that wait.", registry=REGISTRY)
QUEUE_ACTIVE = Gauge("fedjob_operator_queue_active", "Keys being reconciled.", registry=REGISTRY)
QUEUE_OLDEST = Gauge(
    "fedjob_operator_queue_oldest_seconds", "Age of the key that waits longest.", registry=REGISTRY
)
API_CALLS = Counter(
    "fedjob_operator_api_calls", "Calls of the API server.", ["verb", "code"], registry=REGISTRY
)
STATUS_WRITES = Counter("fedjob_operator_status_writes", "Statuses written.", registry=REGISTRY)
STAGES = Counter(
    "fedjob_operator_stages", "Preparations, by result.", ["stage", "result"], registry=REGISTRY
)
STAGE_SECONDS = Histogram(
    "fedjob_operator_stage_seconds",
    "Seconds of one preparation.",
    ["stage"],
    buckets=(0.05, 0.2, 1, 3, 10, 30, 100, 300, 1000),
    registry=REGISTRY,
)
STAGE_OLDEST = Gauge(
    "fedjob_operator_stage_oldest_seconds",
    "For how long the oldest preparation runs.",
    registry=REGISTRY,
)
POD_STARTS = Counter(
    "fedjob_operator_pod_starts", "Pods created, by component.", ["component"], registry=REGISTRY
)
JOBS = Gauge("fedjob_operator_jobs", "Jobs, by state.", ["state"], registry=REGISTRY)
LEADER = Gauge("fedjob_operator_leader", "1 while this operator acts.", registry=REGISTRY)

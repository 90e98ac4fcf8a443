"""Why a pod does not start or a worker does not train."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedjob.protocol.server_status import ClientState, ClientView
from support.operator.runs import (
    condition,
    published,
    ready,
    unschedulable,
    waiting,
)
from support.operator.samples import (
    NOW,
    a_status,
    observed_of,
    reporting,
    running,
    with_pod,
)


def test_silent_worker_with_a_running_pod_is_lost() -> None:
    """Row 15, as a person sees it; the time of its last heartbeat stays."""
    job, observed = ready()
    there = ClientView(
        name="worker-0", shard="s0.zip", state=ClientState.CONNECTED, last_heartbeat=NOW
    )
    status = published(job, reporting(observed, a_status(clients=[there])))
    beat = status["clients"]["list"][0]["lastHeartbeat"]
    gone = there.model_copy(update={"state": ClientState.LOST, "last_heartbeat": None})
    after = replace(observed, body={**observed.body, "status": status})
    status = published(job, reporting(after, a_status(clients=[gone])))
    worker = status["clients"]["list"][0]
    assert (worker["state"], worker["lastHeartbeat"]) == ("Lost", beat)
    found = condition(status, "WorkersReady")
    assert found["reason"] == "WorkerLost"
    assert "heartBeatTimeout, 600 s" in found["message"]


TROUBLE = [
    (waiting("ImagePullBackOff", "no such image"), "ImagePullFailed", "no such image"),
    (waiting("CreateContainerConfigError", "no Secret"), "AdmissionRefused", "no Secret"),
    (waiting("CreateContainerError"), "AdmissionRefused", "CreateContainerError"),
    (unschedulable("0/3 nodes: Insufficient cpu"), "Unschedulable", "Insufficient cpu"),
    (unschedulable("Insufficient nvidia.com/gpu"), "GpuUnavailable", "gpuFallback: cpu"),
]


@pytest.mark.parametrize(("pod", "reason", "text"), TROUBLE, ids=[t[1] for t in TROUBLE])
def test_pod_that_does_not_start_is_explained(pod: dict[str, Any], reason: str, text: str) -> None:
    job, observed = ready()
    empty = {"containerStatuses": [], "conditions": []}
    server = published(job, with_pod(observed, "digits-server", **{**empty, **pod}))
    found = condition(server, "ServerReady")
    assert (found["status"], found["reason"]) == ("False", reason)
    assert text in found["message"]
    worker = published(job, with_pod(observed, "digits-worker-1", **{**empty, **pod}))
    found = condition(worker, "WorkersReady")
    assert found["reason"] == reason
    assert text in found["message"]
    assert worker["clients"]["list"][1]["state"] in ("Pending", pod_waiting(pod))


def pod_waiting(pod: dict[str, Any]) -> str:
    statuses = pod.get("containerStatuses") or [{"state": {"waiting": {"reason": "Pending"}}}]
    return str(statuses[0]["state"]["waiting"]["reason"])


def test_crashing_worker_is_shown_with_its_last_message() -> None:
    job, observed = ready()
    end = {"exitCode": 3, "message": "Traceback\nValueError: no\n"}
    observed = with_pod(observed, "digits-worker-0", **running(restarts=1, last=end))
    message = condition(published(job, observed), "WorkersReady")["message"]
    assert "worker-0: ended with exit code 3" in message
    assert "ValueError: no" in message
    assert "restart 1 of 3" in message
    assert condition(published(job, observed), "Recovering")["status"] == "True"


def test_missing_shard_is_shown_with_the_reason_of_the_worker() -> None:
    job, observed = ready()
    message = '{"phase": "Failed", "reason": "ObjectMissing", "message": "not in the store"}'
    end = {"exitCode": 64, "message": message}
    found = condition(
        published(job, with_pod(observed, "digits-worker-0", **running(restarts=1, last=end))),
        "WorkersReady",
    )
    assert found["reason"] == "ObjectMissing"
    assert "worker-0: cannot use its shard: not in the store; repair" in found["message"]


def test_invalid_kit_is_not_called_a_shard() -> None:
    job, observed = ready()
    message = '{"phase": "Failed", "reason": "KitInvalid", "message": "client.crt has expired"}'
    end = {"exitCode": 64, "message": message}
    found = condition(
        published(job, with_pod(observed, "digits-worker-0", **running(restarts=1, last=end))),
        "WorkersReady",
    )
    assert found["reason"] == "KitInvalid"
    assert "worker-0: cannot use its startup kit: client.crt has expired" in found["message"]


def test_worker_that_succeeded_is_not_trouble() -> None:
    job, observed = ready()
    observed = with_pod(observed, "digits-worker-0", phase="Succeeded")
    assert "worker-0: has ended" in condition(published(job, observed), "WorkersReady")["message"]


def test_awaited_pod_is_explained() -> None:
    job, observed = ready()
    leaving = with_pod(observed, "digits-worker-0", deleting=NOW + 5)
    leaving = with_pod(leaving, "digits-server", deleting=NOW + 5)
    status = published(job, leaving)
    assert "its pod starts within 7 s" in condition(status, "WorkersReady")["message"]
    assert "the server starts within 7 s" in condition(status, "ServerReady")["message"]
    bare = observed_of(job)
    assert "the server is starting" in condition(published(job, bare), "ServerReady")["message"]

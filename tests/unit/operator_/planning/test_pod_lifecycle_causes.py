"""Restarts are counted by cause, and their sum is the number of restarts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedjob.protocol.server_status import RunPhase
from fedjob_operator.naming import Body
from fedjob_operator.state.observed import Observed
from support.operator.samples import (
    NOW,
    a_job,
    a_status,
    observed_of,
    plan_for,
    record_in,
    reporting,
    running,
    simulate,
    with_pod,
    without,
)

POD = "digits-worker-0"
JOB = a_job(workers={"gpu": 0, "maxRestarts": 9})


def under_way() -> Observed:
    observed = observed_of(JOB)
    observed = simulate(observed, plan_for(JOB, observed, NOW))
    for name in ("digits-server", POD, "digits-worker-1"):
        observed = with_pod(observed, name, **running())
    return observed


def status_after(observed: Observed, times: int = 3) -> Body:
    """The status after some reconciles; the causes in the record add up."""
    for step in range(times):
        observed = simulate(observed, plan_for(JOB, observed, NOW + 20 + step))
    record = record_in(observed)
    for slot in (record.server, *record.workers.values()):
        assert sum(slot.causes.values()) == slot.total
    status = observed.body["status"]
    assert isinstance(status, dict)
    return status


def causes(status: Body) -> dict[str, int]:
    worker = status["clients"]["list"][0]
    found = dict(worker.get("restartCauses", {}))
    assert worker["restarts"] == sum(found.values())
    return found


def target(reason: str) -> dict[str, Any]:
    return {"type": "DisruptionTarget", "status": "True", "reason": reason}


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        ({"exitCode": 1, "reason": "Error"}, "Exited"),
        ({"exitCode": 137, "reason": "Error"}, "Killed"),
        ({"exitCode": 143, "reason": "Error"}, "Terminated"),
        ({"exitCode": 255, "reason": "Unknown"}, "NodeRestarted"),
    ],
)
def test_restart_of_a_container_is_counted_by_cause(end: dict[str, Any], cause: str) -> None:
    status = status_after(with_pod(under_way(), POD, **running(restarts=2, last=end)))
    assert causes(status) == {cause: 2}


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("DeletionByTaintManager", "NodeLost"),
        ("DeletionByPodGC", "NodeLost"),
        ("EvictionByEvictionAPI", "Evicted"),
        ("TerminationByKubelet", "Evicted"),
        ("PreemptionByScheduler", "Preempted"),
        ("", "Deleted"),
    ],
)
def test_disruption_of_a_pod_is_counted_by_cause(reason: str, cause: str) -> None:
    """The cause is readable only while the pod is being deleted."""
    conditions = [target(reason)] if reason else []
    leaving = with_pod(under_way(), POD, deleting=NOW + 10, conditions=conditions)
    noticed = simulate(leaving, plan_for(JOB, leaving, NOW + 1))
    assert record_in(noticed).workers["worker-0"].total == 0
    assert causes(status_after(without(noticed, "Pod", POD))) == {cause: 1}


def test_pod_that_does_not_terminate_is_on_a_lost_node() -> None:
    assert causes(status_after(with_pod(under_way(), POD, deleting=NOW + 10))) == {"NodeLost": 1}


def test_pod_that_disappeared_was_deleted() -> None:
    assert causes(status_after(without(under_way(), "Pod", POD))) == {"Deleted": 1}


@pytest.mark.parametrize(("reason", "cause"), [("Evicted", "Evicted"), ("UnexpectedX", "Failed")])
def test_failed_pod_is_counted_by_cause(reason: str, cause: str) -> None:
    assert causes(status_after(with_pod(under_way(), POD, phase="Failed", reason=reason))) == {
        cause: 1
    }


def test_restarts_of_the_server_are_in_the_status() -> None:
    end = {"exitCode": 137, "reason": "Error"}
    observed = with_pod(under_way(), "digits-server", **running(restarts=1, last=end))
    status = status_after(reporting(observed, a_status(RunPhase.TRAINING, 2)))
    assert status["server"] == {"restarts": 1, "restartCauses": {"Killed": 1}}


def test_causes_add_up() -> None:
    end = {"exitCode": 1, "reason": "Error"}
    observed = with_pod(under_way(), POD, **running(restarts=1, last=end))
    observed = simulate(observed, plan_for(JOB, observed, NOW + 1))
    assert causes(status_after(without(observed, "Pod", POD))) == {"Exited": 1, "Deleted": 1}


def test_empty_maps_are_left_out_of_the_status() -> None:
    """A server-side apply of `{}` over a map with entries is null, which the schema refuses."""
    status = status_after(under_way())
    assert status["server"] == {"restarts": 0}
    assert "restartCauses" not in status["clients"]["list"][0]
    assert "{}" not in json.dumps(status)

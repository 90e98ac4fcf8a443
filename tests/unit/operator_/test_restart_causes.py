"""Restarts are counted by cause, whatever takes a pod away, and their sum is what is counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedjob.protocol.server_status import RunPhase
from fedjob_operator.naming import Body
from fedjob_operator.planning.plan import plan
from fedjob_operator.state.observed import Observed
from support.operator_samples import (
    NOW,
    a_job,
    a_status,
    heard,
    observed_of,
    record_in,
    running,
    simulate,
    with_pod,
    without,
)

POD = "digits-worker-0"


def under_way() -> Observed:
    job = a_job(workers={"gpu": 0, "maxRestarts": 9})
    observed = observed_of(job)
    observed = simulate(observed, plan(job, observed, NOW))
    for name in ("digits-server", POD, "digits-worker-1"):
        observed = with_pod(observed, name, **running())
    return observed


def told(observed: Observed, times: int = 3) -> Body:
    job = a_job(workers={"gpu": 0, "maxRestarts": 9})
    for step in range(times):
        observed = simulate(observed, plan(job, observed, NOW + 20 + step))
    record = record_in(observed)
    for site in (record.server, *record.workers.values()):
        assert sum(site.causes.values()) == site.total
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
def test_a_container_started_anew(end: dict[str, Any], cause: str) -> None:
    status = told(with_pod(under_way(), POD, **running(restarts=2, last=end)))
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
def test_a_pod_that_is_taken_away(reason: str, cause: str) -> None:
    """The pod says why while it leaves; once it is gone nobody does."""
    conditions = [target(reason)] if reason else []
    leaving = with_pod(under_way(), POD, deleting=NOW + 10, conditions=conditions)
    job = a_job(workers={"gpu": 0, "maxRestarts": 9})
    noticed = simulate(leaving, plan(job, leaving, NOW + 1))
    assert record_in(noticed).workers["worker-0"].total == 0
    assert causes(told(without(noticed, "Pod", POD))) == {cause: 1}


def test_a_pod_that_cannot_go_is_on_a_node_that_is_lost() -> None:
    assert causes(told(with_pod(under_way(), POD, deleting=NOW + 10))) == {"NodeLost": 1}


def test_a_pod_that_is_gone_was_deleted() -> None:
    assert causes(told(without(under_way(), "Pod", POD))) == {"Deleted": 1}


@pytest.mark.parametrize(("reason", "cause"), [("Evicted", "Evicted"), ("UnexpectedX", "Failed")])
def test_a_pod_that_failed_as_a_whole(reason: str, cause: str) -> None:
    assert causes(told(with_pod(under_way(), POD, phase="Failed", reason=reason))) == {cause: 1}


def test_the_server_s_are_told_too_and_outlive_the_run() -> None:
    end = {"exitCode": 137, "reason": "Error"}
    observed = with_pod(under_way(), "digits-server", **running(restarts=1, last=end))
    status = told(heard(observed, a_status(RunPhase.TRAINING, 2)))
    assert status["server"] == {"restarts": 1, "restartCauses": {"Killed": 1}}


def test_causes_add_up() -> None:
    end = {"exitCode": 1, "reason": "Error"}
    observed = with_pod(under_way(), POD, **running(restarts=1, last=end))
    job = a_job(workers={"gpu": 0, "maxRestarts": 9})
    observed = simulate(observed, plan(job, observed, NOW + 1))
    assert causes(told(without(observed, "Pod", POD))) == {"Exited": 1, "Deleted": 1}


def test_what_has_no_entries_is_left_out() -> None:
    """A server-side apply of `{}` over a map with entries is null, which the schema refuses."""
    status = told(under_way())
    assert status["server"] == {"restarts": 0}
    assert "restartCauses" not in status["clients"]["list"][0]
    assert "{}" not in json.dumps(status)

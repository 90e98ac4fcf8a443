"""How a run ends: result, failures, limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedjob import __version__
from fedjob.protocol.server_status import RunPhase
from fedjob_operator.planning.completion import known_end, result_of
from fedjob_operator.state.observed import Observations
from fedjob_operator.state.record import Record
from support.operator.runs import (
    all_running,
    condition,
    in_kubelet_backoff,
    names,
    settle,
    settle_and_read,
    started,
)
from support.operator.samples import (
    NOW,
    a_commit,
    a_job,
    a_status,
    plan_for,
    record_in,
    reporting,
    respecified,
    running,
    with_pod,
)


def test_backoff_limit_shows_the_last_message_of_a_replaced_server() -> None:
    job = a_job(runPolicy={"backoffLimit": 1})
    held = with_pod(all_running(started(job)), "digits-server", **in_kubelet_backoff("10s", 3))
    status = settle(job, held).body["status"]
    assert status["reason"] == "BackoffLimitExceeded"
    assert "TypeError: x" in status["message"]


def test_fewer_workers_than_min_clients_fail_the_job() -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 0}, federation={"minClients": 2})
    pod = running(restarts=1, last={"exitCode": 3, "reason": "Error"})
    observed = settle(job, with_pod(all_running(started(job)), "digits-worker-1", **pod))
    assert observed.body["status"]["reason"] == "TooFewWorkers"
    assert not [key for key in observed.children if key[0] == "Pod"]


def test_oom_killed_worker_fails_the_job_and_names_batch_size() -> None:
    """Row 30."""
    job = a_job(
        training={"batchSize": 512},
        workers={"gpu": 0, "resources": {"limits": {"memory": "1Gi"}}},
    )
    pod = running(restarts=1, last={"exitCode": 137, "reason": "OOMKilled"})
    observed = with_pod(all_running(started(job)), "digits-worker-1", **pod)
    actions = plan_for(job, observed, NOW)
    assert len(names(actions.delete, "Pod")) == 3
    observed = settle_and_read(job, observed)
    status = observed.body["status"]
    assert (status["state"], status["reason"]) == ("Failed", "OutOfMemory")
    assert "batch_size 512; reduce batch_size" in status["message"]
    assert "limit is 1Gi" in status["message"]
    more = a_job(
        training={"batchSize": 512},
        workers={"gpu": 0, "resources": {"limits": {"memory": "2Gi"}}},
    )
    revived = plan_for(more, respecified(observed, more), NOW + 50)
    assert names(revived.create, "Pod") == [
        "digits-server-r1",
        "digits-worker-0-r1",
        "digits-worker-1-r1",
    ]
    assert condition(revived.status, "Failed")["status"] == "False"


def test_oom_killed_server_names_its_limit() -> None:
    job = a_job()
    pod = running(restarts=1, last={"exitCode": 137, "reason": "OOMKilled"})
    observed = settle(job, with_pod(all_running(started(job)), "digits-server", **pod))
    assert "spec.server.resources.limits.memory" in observed.body["status"]["message"]


@pytest.mark.parametrize("reason", ["NonFiniteWeights", ""])
def test_failed_server_fails_the_job(reason: str) -> None:
    job = a_job()
    server_status = a_status(
        RunPhase.FAILED, 1, reason=reason, message="worker-1: NaN; lower the rate"
    )
    observed = settle_and_read(job, reporting(all_running(started(job)), server_status))
    status = observed.body["status"]
    assert status["state"] == "Failed"
    assert status["reason"] == (reason or "ServerCrashed")
    assert not [key for key in observed.children if key[0] == "Pod"]
    assert not plan_for(job, replace(observed, observations=Observations()), NOW + 9999).changes


def test_fenced_server_does_not_fail_the_job() -> None:
    job = a_job()
    observed = reporting(all_running(started(job)), a_status(RunPhase.FAILED, 1, reason="Fenced"))
    actions = plan_for(job, observed, NOW)
    assert not actions.create
    assert not actions.delete
    assert settle(job, observed).body["status"]["state"] != "Failed"


def test_termination_message_of_the_server_fails_the_job() -> None:
    job = a_job()
    for message, state in (
        ('{"phase": "Failed", "reason": "ModelInvalid", "message": "no"}', "Failing"),
        ('{"phase": "Failed", "reason": "Fenced"}', "Starting"),
        ('{"phase": "Failed"}', "Failing"),
        ('{"phase": "Training"}', "Starting"),
        ("[1]", "Starting"),
        ("Traceback", "Starting"),
    ):
        pod = running(ready=False, restarts=1, last={"exitCode": 1, "message": message})
        observed = settle(job, with_pod(all_running(started(job)), "digits-server", **pod))
        found = observed.body["status"]["state"]
        assert found == state or (state == "Starting" and found == "Recovering"), message


def test_server_crashes_beyond_the_backoff_limit_fail_the_job() -> None:
    job = a_job(runPolicy={"backoffLimit": 2})
    base = all_running(started(job))
    crash = {"exitCode": 3, "message": "line\n\nTypeError: x\n"}
    twice = with_pod(base, "digits-server", **running(ready=False, restarts=2, last=crash))
    assert settle(job, twice).body["status"]["state"] == "Recovering"
    # The status before the crash is still known, and is not a commit of the new attempt.
    with_status = settle(job, reporting(base, a_status(RunPhase.TRAINING, 1)))
    assert record_in(with_status).server.at_commit == 0
    thrice = with_pod(with_status, "digits-server", **running(ready=False, restarts=3, last=crash))
    status = settle(job, thrice).body["status"]
    assert status["reason"] == "BackoffLimitExceeded"
    assert "TypeError: x" in status["message"]


def test_committed_round_resets_the_crash_count() -> None:
    job = a_job(runPolicy={"backoffLimit": 2})
    base = with_pod(all_running(started(job)), "digits-server", **running(restarts=2))
    server_status = a_status(completed=1, attempt=3, history=[a_commit(1, attempt=3)])
    observed = settle(job, reporting(base, server_status))
    assert record_in(observed).server.at_commit == 2
    crashed = with_pod(observed, "digits-server", **running(ready=False, restarts=4))
    assert settle(job, crashed).body["status"]["state"] == "Recovering"


def test_deadline_fails_the_job_in_time() -> None:
    job = a_job(runPolicy={"activeDeadlineSeconds": 100})
    observed = started(job)
    assert plan_for(job, observed, NOW + 40).again == pytest.approx(60)
    observed = settle(job, observed, NOW + 100)
    assert observed.body["status"]["reason"] == "DeadlineExceeded"
    longer = a_job(runPolicy={"activeDeadlineSeconds": 500})
    revived = plan_for(longer, respecified(observed, longer), NOW + 200)
    assert names(revived.create, "Pod")


@pytest.mark.parametrize(
    ("code", "message", "state"),
    [
        (127, "[FATAL tini (7)] exec fedjob-server-agent failed: No such file", "Failed"),
        (1, "[FATAL tini (7)] exec fedjob-server-agent failed: No such file", "Recovering"),
        (127, "sh: train: not found", "Recovering"),
    ],
)
def test_image_without_the_agent_ends_the_run_at_its_first_start(
    code: int, message: str, state: str
) -> None:
    job = a_job()
    end = {"exitCode": code, "message": message, "finishedAt": "2026-01-01T00:00:00Z"}
    sidecar = {"name": "federation", "restartCount": 1, "lastState": {"terminated": end}}
    pod = running(ready=False) | {"initContainerStatuses": [sidecar]}
    found = with_pod(all_running(started(job)), "digits-server", **pod)
    settled = settle_and_read(job, found) if state == "Failed" else settle(job, found)
    status = settled.body["status"]
    assert status["state"] == state
    assert (status.get("reason") == "VersionMismatch") is (state == "Failed")
    if state == "Failed":
        assert "older than 0.2.0" in status["message"]
        assert f"the operator's fedjob is {__version__}" in status["message"]
        assert "delete the job and submit it again under the same name" in status["message"]


def test_early_stop_is_a_result_until_num_rounds_is_raised() -> None:
    job = a_job(federation={"numRounds": 9})
    last = a_commit(4, standing={"stopped": 9, "waited": 2})
    status = a_status(
        RunPhase.COMPLETE, 4, history=[last], result_key="m", result_sha256=last.sha256
    )
    result = result_of(job, status, NOW)
    assert result is not None
    assert (result.round, result.stopped) == (4, 9)
    record = Record(result=result)
    assert known_end(job, record) == result
    more = a_job(federation={"numRounds": 10})
    assert known_end(more, record) is None
    assert result_of(more, status, NOW) is None


def test_job_that_stopped_early_is_complete_and_says_so() -> None:
    job = a_job(federation={"numRounds": 9})
    last = a_commit(4, standing={"stopped": 9, "waited": 2})
    ended = a_status(
        RunPhase.COMPLETE, 4, history=[last], result_key="m", result_sha256=last.sha256
    )
    observed = settle(job, reporting(all_running(started(job)), ended))
    status = observed.body["status"]
    assert (status["state"], status["rounds"]["display"]) == ("Complete", "4/9")
    assert condition(status, "Complete")["message"] == (
        "4 of 9 rounds are committed: federation.stopWhen was met"
    )

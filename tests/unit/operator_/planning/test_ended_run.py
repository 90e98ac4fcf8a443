"""The plan of a run that has ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedjob.protocol.server_status import RunPhase
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import Body
from fedjob_operator.state.observed import Observations, Observed, Problem, Stage
from support.operator.runs import (
    all_running,
    names,
    settle,
    settle_and_read,
    started,
)
from support.operator.samples import (
    DEFAULTS,
    NOW,
    a_job,
    a_status,
    complete_status,
    knowing,
    observed_of,
    plan_for,
    prepared_of,
    record_in,
    reporting,
    respecified,
    running,
    simulate,
    with_pod,
)


def out_of_memory(job: FederatedJob) -> Observed:
    """A job that has failed, whose server is being stopped."""
    observed = reporting(all_running(started(job)), a_status(RunPhase.TRAINING, 4))
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2027-01-15T08:00:00Z"}
    killed = {"state": {"terminated": ended}}
    observed = with_pod(observed, "digits-worker-0", **{**running(), "containerStatuses": [killed]})
    actions = plan_for(job, observed, NOW)
    assert actions.status is not None
    assert (actions.status["state"], actions.status["reason"]) == ("Failing", "OutOfMemory")
    # While the server may still commit, the log is not asked.
    assert actions.stages == frozenset()
    assert actions.again == 60
    return settle(job, observed)


def is_shown_as_failed(status: Body | None) -> bool:
    assert status is not None
    found = [c["status"] for c in status["conditions"] if c["type"] == "Failed"]
    assert (found == ["True"]) == (status["state"] == "Failed") == ("completionTime" in status)
    return status["state"] == "Failed"


def test_server_that_does_not_terminate_delays_failed_by_a_minute() -> None:
    """Its node may be lost: then what the log says is still looked for, but not waited for."""
    job = a_job(runPolicy={"ttlSecondsAfterFinished": 0})
    stopped = out_of_memory(job)
    pod = all_running(started(job)).children["Pod", "digits-server"]
    children = {**stopped.children, ("Pod", "digits-server"): pod}
    stuck = with_pod(replace(stopped, children=children), "digits-server", deleting=NOW)
    early = plan_for(job, stuck, NOW + 59)
    assert not is_shown_as_failed(early.status)
    assert early.again == 1
    assert not early.delete_job
    late = plan_for(job, stuck, NOW + 60)
    assert is_shown_as_failed(late.status)
    assert late.delete_job
    assert plan_for(a_job(), stopped, NOW + 500).stages == {Stage.LOG}


@pytest.mark.parametrize("committed", [5, 4])
def test_failure_is_dropped_where_the_log_has_all_rounds(committed: int) -> None:
    job = a_job()
    stopped = out_of_memory(job)
    assert plan_for(job, stopped, NOW).stages == {Stage.LOG}
    problem = Problem("StoreUnreachable", "no answer", NOW + 5, tries=2)
    failing = knowing(stopped, problems={Stage.LOG: problem})
    actions = plan_for(job, failing, NOW)
    assert (actions.stages, actions.again) == (frozenset(), 5)
    assert not is_shown_as_failed(actions.status)
    later = replace(problem, retry_at=NOW + 75)
    failing = knowing(stopped, problems={Stage.LOG: later})
    assert [plan_for(job, failing, NOW + 50).again, plan_for(job, failing, NOW + 70).again] == [
        10,
        5,
    ]
    for_good = replace(problem, tries=5)
    failing = knowing(stopped, problems={Stage.LOG: for_good})
    assert plan_for(job, failing, NOW + 9).stages == frozenset()
    assert is_shown_as_failed(plan_for(job, failing, NOW + 9).status)

    stored = complete_status() if committed == 5 else a_status(RunPhase.STARTING, 4)
    read = settle(job, knowing(stopped, log_status=stored))
    assert plan_for(job, read, NOW).stages == frozenset()
    status, record = read.body["status"], record_in(read)
    assert status["rounds"]["completed"] == committed
    if committed == 5:
        assert (status["state"], record.result and record.result.round) == ("Complete", 5)
        # The status never showed it as failed.
        assert "Failed" not in [c["type"] for c in status["conditions"]]
        assert record.failure is None
    else:
        assert (status["state"], status["reason"]) == ("Failed", "OutOfMemory")
        assert is_shown_as_failed(status)
        assert record.failure is not None
        assert record.failure.settled
    # The next operator does not ask again.
    later = knowing(read, log_status=None, server=None)
    assert plan_for(job, later, NOW + 1).stages == frozenset()


def test_job_that_failed_without_a_server_reads_no_log() -> None:
    job = a_job(runPolicy={"activeDeadlineSeconds": 60})
    observed = observed_of(job, Observations())
    observed = simulate(observed, plan_for(job, observed, NOW))
    failed = settle(job, observed, NOW + 61)
    assert failed.body["status"]["reason"] == "DeadlineExceeded"
    assert plan_for(job, failed, NOW + 61).stages == frozenset()


def test_complete_job_keeps_ended_pods_and_deletes_lingering_ones() -> None:
    job = a_job()
    observed = reporting(all_running(started(job)), complete_status())
    first = plan_for(job, observed, NOW + 20)
    assert names(first.delete, "Pod") == []
    assert first.again is not None
    observed = settle(job, observed, NOW + 20)
    status = observed.body["status"]
    assert (status["state"], status["rounds"]["display"]) == ("Complete", "5/5")
    assert status["result"]["size"] == 1234
    for name in ("digits-server", "digits-worker-0"):
        observed = with_pod(observed, name, phase="Succeeded")
    late = plan_for(job, observed, NOW + 200)
    assert names(late.delete) == ["digits-worker-1"]
    rest = settle(job, replace(observed, observations=Observations()), NOW + 200)
    assert ("Pod", "digits-server") in rest.children
    assert rest.body["status"]["result"] == status["result"]
    assert rest.body["status"]["history"] == status["history"]
    assert rest.body["status"]["clients"] == status["clients"]


@pytest.mark.parametrize("end", ["complete", "failed"])
def test_finished_job_is_deleted_after_its_ttl(end: str) -> None:
    job = a_job(runPolicy={"ttlSecondsAfterFinished": 30})
    server_status = (
        complete_status() if end == "complete" else a_status(RunPhase.FAILED, reason="Fault")
    )
    comes_to_rest = settle if end == "complete" else settle_and_read
    observed = comes_to_rest(job, reporting(all_running(started(job)), server_status), NOW + 16)
    early = plan_for(job, observed, NOW + 20)
    assert not early.delete_job
    assert early.again is not None
    assert early.again <= 30
    assert plan_for(job, observed, NOW + 60).delete_job


def test_crash_between_record_and_status_publishes_the_rounds_later() -> None:
    job = a_job()
    observed = reporting(all_running(started(job)), complete_status())
    status = {**observed.body["status"], "history": []}
    after = settle(job, observed)
    assert after.body["status"]["history"][-1]["round"] == 5
    assert plan_for(job, after, NOW).stages == frozenset()
    # The next operator has a record of the end, no server status, and a status without rounds.
    body = {**after.body, "status": status}
    gone = replace(
        after, body=body, observations=replace(after.observations, server=None, log_status=None)
    )
    assert plan_for(job, gone, NOW).stages == {Stage.LOG}
    problem = Problem("StoreUnreachable", "wait", NOW + 8)
    failing = knowing(gone, problems={Stage.LOG: problem})
    assert plan_for(job, failing, NOW).stages == frozenset()
    read = knowing(gone, log_status=complete_status())
    actions = plan_for(job, read, NOW)
    assert actions.stages == frozenset()
    assert actions.status is not None
    assert actions.status["history"] == after.body["status"]["history"]
    assert actions.status["metric"] == after.body["status"]["metric"]


def test_secrets_of_a_run_go_as_soon_as_it_is_over() -> None:
    """Store keys, kits and URLs; pods stay readable."""
    job = a_job()
    running_job = all_running(started(job))
    secrets = sorted(name for kind, name in running_job.children if kind == "Secret")
    assert len(secrets) == 7
    assert names(plan_for(job, running_job).delete, "Secret") == []
    complete = reporting(running_job, complete_status())
    assert names(plan_for(job, complete).delete, "Secret") == secrets
    assert names(plan_for(job, complete).delete, "Pod") == []
    failed = out_of_memory(job)
    assert [name for kind, name in failed.children if kind == "Secret"] == []


def test_run_that_continues_after_its_end_gets_secrets_again() -> None:
    job = a_job()
    over = settle(job, reporting(all_running(started(job)), complete_status()))
    assert not [name for kind, name in over.children if kind == "Secret"]
    longer = a_job(federation={"numRounds": 9})
    over = knowing(over, prepared=prepared_of(longer), server=None, log_status=None)
    again = settle(longer, respecified(over, longer))
    assert len([name for kind, name in again.children if kind == "Secret"]) == 7


def test_finished_job_without_a_ttl_gets_the_operators() -> None:
    defaults = replace(DEFAULTS, ttl=3600)
    for policy, left in (({}, 3600), ({"ttlSecondsAfterFinished": 60}, 60)):
        job = a_job(runPolicy=policy)
        over = settle(job, reporting(all_running(started(job)), complete_status()))
        over = replace(over, defaults=defaults)
        ended = record_in(over).result
        assert ended is not None
        assert not plan_for(job, over, ended.time + left - 1).delete_job
        assert plan_for(job, over, ended.time + left).delete_job
    job = a_job()
    assert not plan_for(job, replace(over, defaults=DEFAULTS), NOW + 10**9).delete_job

"""The plan is pure and total, converges, and touches nothing that the job does not own."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedjob.protocol.server_status import RunPhase
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.controller.executor import carry_out
from fedjob_operator.naming import COMPONENT, Body, owner_uid
from fedjob_operator.planning.drift import key_of
from fedjob_operator.planning.plan import plan
from fedjob_operator.planning.preparation import spec_digest
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.observed import Kits, Observations, Observed, Problem, Stage
from support.operator_samples import (
    DEFAULTS,
    NOW,
    UID,
    a_commit,
    a_job,
    a_status,
    complete_status,
    facts_of,
    heard,
    observed_of,
    prepared_of,
    record_in,
    remembering,
    respecified,
    running,
    simulate,
    with_pod,
    without,
)


def started(job: FederatedJob, facts: Observations | None = None) -> Observed:
    """A job whose pods have just been created."""
    observed = observed_of(job, facts)
    return simulate(observed, plan(job, observed, NOW))


def all_running(observed: Observed) -> Observed:
    for kind, name in list(observed.children):
        if kind == "Pod":
            observed = with_pod(observed, name, **running())
    return observed


def settle(job: FederatedJob, observed: Observed, now: float = NOW) -> Observed:
    """Applies plans until one changes nothing."""
    for _ in range(8):
        actions = plan(job, observed, now)
        if actions.delete_job:
            return observed
        if not actions.changes and actions.status == observed.body.get("status"):
            return observed
        observed = simulate(observed, actions, now)
    kinds = {
        "delete": names(actions.delete),
        "create": names(actions.create),
        "apply": names(actions.apply),
        "record": (actions.record or {}).get("data"),
        "before": record_in(observed),
    }
    raise AssertionError(f"the plan does not come to rest: {kinds}")


def settle_and_read(job: FederatedJob, observed: Observed, now: float = NOW) -> Observed:
    """The same for a run that fails, with the log read once its server has gone."""
    observed = settle(job, observed, now)
    assert observed.body["status"]["state"] == "Failing"
    assert Stage.LOG in plan(job, observed, now).stages
    stored = a_status(RunPhase.STARTING, 1)
    return settle(job, replace(observed, facts=replace(observed.facts, stored=stored)), now)


def names(bodies: tuple[Body, ...], kind: str = "") -> list[str]:
    return sorted(b["metadata"]["name"] for b in bodies if not kind or b["kind"] == kind)


def condition(status: Body | None, kind: str) -> Body:
    assert status is not None
    return next(c for c in status["conditions"] if c["type"] == kind)


def test_a_new_job_first_asks_for_its_inputs() -> None:
    actions = plan(a_job(), observed_of(a_job(), Observations()), NOW)
    assert actions.stages == {Stage.INPUTS}
    assert not actions.create
    assert actions.status is not None
    assert actions.status["state"] == "Pending"


def test_then_for_everything_else_at_once() -> None:
    job = a_job()
    bare = prepared_of(job).model_copy(update={"workspace": "", "image": None})
    actions = plan(job, observed_of(job, Observations(prepared=bare)), NOW)
    assert actions.stages == {Stage.WORKSPACE, Stage.IMAGE, Stage.KITS, Stage.URLS}
    assert actions.status is not None
    assert actions.status["state"] == "Uploading"
    assert not names(actions.create, "Pod")


def test_a_prepared_job_gets_all_its_objects_pods_last() -> None:
    job = a_job()
    actions = plan(job, observed_of(job), NOW)
    assert not actions.stages
    assert names(actions.create) == sorted(
        [
            "digits-config", "digits-kit-admin", "digits-kit-server", "digits-kit-worker-0",
            "digits-kit-worker-1", "digits-server", "digits-server", "digits-server",
            "digits-store", "digits-url-worker-0", "digits-url-worker-1", "digits-worker",
            "digits-worker-0", "digits-worker-1",
        ]
    )  # fmt: skip
    kinds = [body["kind"] for body in actions.create]
    assert kinds[-3:] == ["Pod"] * 3
    assert "Pod" not in kinds[:-3]
    assert actions.record is not None


def test_without_policies_and_with_its_own_secret_there_is_less() -> None:
    job = a_job(storage={"secretRef": {"name": "mine"}})
    observed = observed_of(job, defaults=replace(DEFAULTS, policies=False))
    created = names(plan(job, observed, NOW).create)
    assert "digits-store" not in created
    assert "digits-worker" not in created


def test_twice_changes_nothing() -> None:
    job = a_job()
    observed = started(job)
    again = plan(job, observed, NOW)
    assert not again.changes
    later = plan(job, simulate(observed, again), NOW + 100)
    assert not later.changes


def test_the_plan_changes_nothing_that_it_is_given() -> None:
    job = a_job()
    observed = all_running(started(job))
    before = copy.deepcopy(observed)
    plan(job, observed, NOW)
    assert observed == before


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap", "Service", "NetworkPolicy"])
def test_what_is_deleted_comes_back(kind: str) -> None:
    job = a_job()
    observed = started(job)
    name = next(n for k, n in observed.children if k == kind and "record" not in n)
    actions = plan(job, without(observed, kind, name), NOW)
    again = names(actions.create, kind) or actions.stages
    assert again == [name] or Stage.KITS in actions.stages or Stage.URLS in actions.stages


def test_what_is_edited_is_put_right() -> None:
    job = a_job()
    observed = started(job)
    service = copy.deepcopy(observed.children["Service", "digits-server"])
    service["spec"]["clusterIP"] = "10.0.0.1"
    observed = replace(observed, children={**observed.children, key_of(service): service})
    assert names(plan(job, observed, NOW).apply) == ["digits-server"]


def test_defaults_that_the_api_server_adds_are_no_drift() -> None:
    job = a_job()
    observed = started(job)
    service = copy.deepcopy(observed.children["Service", "digits-server"])
    service["spec"]["sessionAffinity"] = "None"
    service["status"] = {"loadBalancer": {}}
    observed = replace(observed, children={**observed.children, key_of(service): service})
    assert not plan(job, observed, NOW).changes


def test_what_is_ours_and_not_wanted_is_deleted() -> None:
    job = a_job()
    observed = started(job)
    secret = copy.deepcopy(observed.children["Secret", "digits-store"])
    secret["metadata"]["name"] = "digits-old"
    leaving = copy.deepcopy(secret)
    leaving["metadata"] |= {"name": "digits-leaving", "deletionTimestamp": "2027-01-01T00:00:00Z"}
    extra = {key_of(secret): secret, key_of(leaving): leaving}
    pod = copy.deepcopy(observed.children["Pod", "digits-worker-1"])
    pod["metadata"]["name"] = "digits-worker-9"
    pod["metadata"]["labels"]["fedjob.dev/worker"] = "worker-9"
    extra[key_of(pod)] = pod
    observed = replace(observed, children={**observed.children, **extra})
    assert names(plan(job, observed, NOW).delete) == ["digits-old", "digits-worker-9"]


def test_a_name_that_another_holds_is_left_alone_and_told() -> None:
    job = a_job()
    observed = observed_of(job)
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "digits-server", "namespace": "team"},
    }
    observed = replace(observed, children={("Service", "digits-server"): foreign})
    actions = plan(job, observed, NOW)
    assert not names(actions.create, "Pod")
    assert "digits-server" not in names((*actions.delete, *actions.apply))
    told = condition(actions.status, "Accepted")
    assert (told["status"], told["reason"]) == ("False", "AdmissionRefused")
    assert "Service digits-server" in told["message"]
    held = observed_of(job, facts_of(job, held={("Pod", "digits-worker-0"): NOW + 9}))
    assert not names(plan(job, held, NOW).create, "Pod")
    assert names(plan(job, held, NOW + 10).create, "Pod")


def test_an_image_that_nodes_cannot_pull_is_looked_for_again() -> None:
    job = a_job()
    observed = all_running(started(job))
    pulls = {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    observed = with_pod(observed, "digits-worker-0", phase="Pending", **pulls)
    assert plan(job, observed, NOW).stages == {Stage.IMAGE}
    assert plan(job, observed, NOW).again == 60
    checked = replace(observed, facts=replace(observed.facts, image_checked=NOW - 59))
    assert not plan(job, checked, NOW).stages
    assert plan(job, checked, NOW + 2).stages == {Stage.IMAGE}
    for retry_at, stages in ((NOW + 1, set()), (NOW, {Stage.IMAGE})):
        problem = Problem("RegistryUnreachable", "no answer", retry_at)
        failed = replace(checked, facts=replace(checked.facts, problems={Stage.IMAGE: problem}))
        assert plan(job, failed, NOW).stages == stages


def test_the_objects_of_an_earlier_job_are_waited_for() -> None:
    job = a_job()
    old = started(job)
    reborn = job.model_copy(update={"metadata": job.metadata.model_copy(update={"uid": "other"})})
    actions = plan(reborn, replace(old, facts=Observations()), NOW)
    assert actions == Actions(status=actions.status, again=actions.again)
    assert actions.again is not None
    assert "earlier job" in condition(actions.status, "Accepted")["message"]


def test_a_deleted_pod_is_replaced_under_the_next_name_and_counted() -> None:
    job = a_job()
    observed = without(all_running(started(job)), "Pod", "digits-worker-1")
    actions = plan(job, observed, NOW + 500)
    assert not actions.create  # an operator that ends before it has counted must count it later
    assert [n.reason for n in actions.news] == ["Recovering"]
    counted = simulate(observed, actions)
    assert names(plan(job, counted, NOW + 500).create) == ["digits-worker-1-r1"]
    after = settle(job, counted, NOW + 500)
    assert record_in(after).workers["worker-1"].restarts == 1
    told = {c["name"]: c["restarts"] for c in after.body["status"]["clients"]["list"]}
    assert told == {"worker-0": 0, "worker-1": 1}


def test_a_pod_that_is_leaving_is_waited_for_but_not_for_ever() -> None:
    job = a_job()
    observed = with_pod(all_running(started(job)), "digits-server", deleting=NOW + 10)
    early = plan(job, observed, NOW)
    assert not early.create
    assert early.again is not None
    assert early.again <= 12
    late = plan(job, observed, NOW + 13)
    assert not late.delete
    late = plan(job, simulate(observed, late), NOW + 13)
    assert names(late.create) == ["digits-server-r1"]
    assert not late.delete


def test_an_evicted_pod_is_deleted_and_replaced() -> None:
    job = a_job()
    observed = with_pod(
        all_running(started(job)), "digits-worker-0", phase="Failed", reason="Evicted"
    )
    actions = plan(job, observed, NOW)
    assert names(actions.delete) == ["digits-worker-0"]
    assert "Evicted" in actions.news[0].message
    actions = plan(job, simulate(observed, actions), NOW)
    assert names(actions.create) == ["digits-worker-0-r1"]


def held_back(told: str, code: int = 137, restarts: int = 1) -> Body:
    """The status of a pod whose container the kubelet does not start again yet."""
    end = {"exitCode": code, "reason": "Error", "message": "TypeError: x\n"}
    message = f"back-off {told} restarting failed container=fedjob pod=digits-server_default"
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    return running(ready=False, restarts=restarts, state=waiting, last=end)


def test_a_container_that_the_kubelet_holds_back_is_replaced_where_that_is_sooner() -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 2}, runPolicy={"backoffLimit": 9})
    base = all_running(started(job))
    for name, site in (("digits-server", "server"), ("digits-worker-1", "worker-1")):
        held = with_pod(base, name, **held_back("10s"))
        actions = plan(job, held, NOW + 1)
        assert (names(actions.delete), names(actions.create)) == ([name], [])
        assert "would not be started again for a while" in actions.news[0].message
        after = settle(job, simulate(held, actions, NOW + 1), NOW + 1)
        assert ("Pod", f"{name}-r1") in after.children
        record = record_in(after)
        counted = record.server if site == "server" else record.workers[site]
        # The kubelet's restart, and this one, which it would have done later.
        assert (counted.total, counted.causes) == (2, {"Killed": 2})


@pytest.mark.parametrize(
    ("told", "streak", "code", "replaced"),
    [
        ("5s", 0, 137, False),
        ("10s", 0, 137, True),
        ("10s", 2, 137, False),  # a replacement would wait for 4 s, and take some more
        ("20s", 3, 137, True),
        ("1m20s", 9, 137, True),
        ("40s", 9, 137, False),
        ("5m0s", 9, 137, True),
        ("5m0s", 0, 64, False),  # a shard or a kit that is wrong: the pod stays until it is mended
    ],
)
def test_a_replacement_is_worth_its_wait(
    told: str, streak: int, code: int, *, replaced: bool
) -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 9})
    base = all_running(started(job))
    record = record_in(base)
    site = record.workers["worker-1"].model_copy(update={"streak": streak})
    record = record.model_copy(update={"workers": {**record.workers, "worker-1": site}})
    held = with_pod(remembering(base, job, record), "digits-worker-1", **held_back(told, code))
    assert names(plan(job, held, NOW + 1).delete) == (["digits-worker-1"] if replaced else [])


def test_the_last_words_of_a_server_that_is_given_up_are_told() -> None:
    job = a_job(runPolicy={"backoffLimit": 1})
    held = with_pod(all_running(started(job)), "digits-server", **held_back("10s", 3))
    status = settle(job, held).body["status"]
    assert status["reason"] == "BackoffLimitExceeded"
    assert "TypeError: x" in status["message"]


def test_losses_in_a_row_are_backed_off_and_end_in_giving_up() -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 2}, federation={"minClients": 1})
    observed, now = all_running(started(job)), NOW
    for number in range(1, 4):
        pod = "digits-worker-0" + (f"-r{number - 1}" if number > 1 else "")
        observed = without(observed, "Pod", pod)
        actions = plan(job, observed, now)
        assert not actions.create
        if number == 2:
            assert actions.again == pytest.approx(2.0)
            now += 2
        observed = simulate(observed, actions, now)
        actions = plan(job, observed, now)
        if number < 3:
            assert names(actions.create) == [f"digits-worker-0-r{number}"]
        observed = simulate(observed, actions, now)
    assert not plan(job, observed, now + 1000).create
    status = plan(job, observed, now + 1000).status
    assert status is not None
    assert status["clients"]["list"][0]["state"] == "GivenUp"
    assert "maxRestarts is 2" in condition(status, "WorkersReady")["message"]
    more = a_job(workers={"gpu": 0, "maxRestarts": 5}, federation={"minClients": 1})
    assert "digits-worker-0-r3" in names(plan(more, respecified(observed, more), now + 1000).create)


def test_a_worker_given_up_while_it_runs_is_stopped() -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 1}, federation={"minClients": 1})
    pod = running(restarts=2, last={"exitCode": 3, "reason": "Error"})
    observed = with_pod(all_running(started(job)), "digits-worker-1", **pod)
    actions = plan(job, observed, NOW)
    assert names(actions.delete) == ["digits-worker-1"]
    settle(job, observed)


def test_too_few_workers_left_fail_the_job() -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 0}, federation={"minClients": 2})
    pod = running(restarts=1, last={"exitCode": 3, "reason": "Error"})
    observed = settle(job, with_pod(all_running(started(job)), "digits-worker-1", **pod))
    assert observed.body["status"]["reason"] == "TooFewWorkers"
    assert not [key for key in observed.children if key[0] == "Pod"]


def test_a_bad_shard_is_not_counted_and_the_kubelet_keeps_trying() -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 0}, federation={"minClients": 2})
    end = {"exitCode": 64, "reason": "Error", "message": "shard s1.zip: is not in the store\n"}
    observed = with_pod(
        all_running(started(job)), "digits-worker-1", **running(restarts=4, last=end)
    )
    observed = settle(job, observed)
    assert observed.body["status"]["state"] == "Starting"
    told = condition(observed.body["status"], "WorkersReady")
    assert told["reason"] == "DatasetInvalid"
    assert "is not in the store" in told["message"]
    fixed = with_pod(observed, "digits-worker-1", **running(restarts=4, last=end))
    assert record_in(settle(job, fixed)).workers["worker-1"].total == 0


def test_out_of_memory_fails_the_job_and_names_batch_size() -> None:
    """Row 30."""
    job = a_job(
        training={"batchSize": 512},
        workers={"gpu": 0, "resources": {"limits": {"memory": "1Gi"}}},
    )
    pod = running(restarts=1, last={"exitCode": 137, "reason": "OOMKilled"})
    observed = with_pod(all_running(started(job)), "digits-worker-1", **pod)
    actions = plan(job, observed, NOW)
    assert len(actions.delete) == 3
    observed = settle_and_read(job, observed)
    status = observed.body["status"]
    assert (status["state"], status["reason"]) == ("Failed", "OutOfMemory")
    assert "batch_size 512; reduce batch_size" in status["message"]
    assert "limit is 1Gi" in status["message"]
    more = a_job(
        training={"batchSize": 512},
        workers={"gpu": 0, "resources": {"limits": {"memory": "2Gi"}}},
    )
    revived = plan(more, respecified(observed, more), NOW + 50)
    assert names(revived.create, "Pod") == [
        "digits-server-r1",
        "digits-worker-0-r1",
        "digits-worker-1-r1",
    ]
    assert condition(revived.status, "Failed")["status"] == "False"


def out_of_memory(job: FederatedJob) -> Observed:
    """A job that has failed, whose server is being stopped."""
    observed = heard(all_running(started(job)), a_status(RunPhase.TRAINING, 4))
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2027-01-15T08:00:00Z"}
    killed = {"state": {"terminated": ended}}
    observed = with_pod(observed, "digits-worker-0", **{**running(), "containerStatuses": [killed]})
    actions = plan(job, observed, NOW)
    assert actions.status is not None
    assert (actions.status["state"], actions.status["reason"]) == ("Failing", "OutOfMemory")
    # While the server may still commit, the log is not asked.
    assert actions.stages == frozenset()
    assert actions.again == 60
    return settle(job, observed)


def is_told_as_failed(status: Body | None) -> bool:
    assert status is not None
    found = [c["status"] for c in status["conditions"] if c["type"] == "Failed"]
    assert (found == ["True"]) == (status["state"] == "Failed") == ("completionTime" in status)
    return status["state"] == "Failed"


def test_a_server_that_does_not_go_holds_a_failure_back_for_a_minute() -> None:
    """Its node may be lost: then what the log says is still looked for, but not waited for."""
    job = a_job(runPolicy={"ttlSecondsAfterFinished": 0})
    stopped = out_of_memory(job)
    pod = all_running(started(job)).children["Pod", "digits-server"]
    children = {**stopped.children, ("Pod", "digits-server"): pod}
    stuck = with_pod(replace(stopped, children=children), "digits-server", deleting=NOW)
    early = plan(job, stuck, NOW + 59)
    assert not is_told_as_failed(early.status)
    assert early.again == 1
    assert not early.delete_job
    late = plan(job, stuck, NOW + 60)
    assert is_told_as_failed(late.status)
    assert late.delete_job
    assert plan(a_job(), stopped, NOW + 500).stages == {Stage.LOG}


@pytest.mark.parametrize("committed", [5, 4])
def test_a_failure_in_the_last_round_is_none_once_all_rounds_are_there(committed: int) -> None:
    job = a_job()
    stopped = out_of_memory(job)
    assert plan(job, stopped, NOW).stages == {Stage.LOG}
    problem = Problem("StoreUnreachable", "no answer", NOW + 5, tries=2)
    failing = replace(stopped, facts=replace(stopped.facts, problems={Stage.LOG: problem}))
    actions = plan(job, failing, NOW)
    assert (actions.stages, actions.again) == (frozenset(), 5)
    assert not is_told_as_failed(actions.status)
    later = replace(problem, retry_at=NOW + 75)
    failing = replace(stopped, facts=replace(stopped.facts, problems={Stage.LOG: later}))
    assert [plan(job, failing, NOW + 50).again, plan(job, failing, NOW + 70).again] == [10, 5]
    for_good = replace(problem, tries=5)
    failing = replace(stopped, facts=replace(stopped.facts, problems={Stage.LOG: for_good}))
    assert plan(job, failing, NOW + 9).stages == frozenset()
    assert is_told_as_failed(plan(job, failing, NOW + 9).status)

    stored = complete_status() if committed == 5 else a_status(RunPhase.STARTING, 4)
    read = settle(job, replace(stopped, facts=replace(stopped.facts, stored=stored)))
    assert plan(job, read, NOW).stages == frozenset()
    status, record = read.body["status"], record_in(read)
    assert status["rounds"]["completed"] == committed
    if committed == 5:
        assert (status["state"], record.result and record.result.round) == ("Complete", 5)
        # It was never told as anything else.
        assert "Failed" not in [c["type"] for c in status["conditions"]]
        assert record.failure is None
    else:
        assert (status["state"], status["reason"]) == ("Failed", "OutOfMemory")
        assert is_told_as_failed(status)
        assert record.failure is not None
        assert record.failure.settled
    # The next operator does not ask again.
    later = replace(read, facts=replace(read.facts, stored=None, server=None))
    assert plan(job, later, NOW + 1).stages == frozenset()


def test_a_job_that_failed_before_it_had_a_server_has_no_log_to_read() -> None:
    job = a_job(runPolicy={"activeDeadlineSeconds": 60})
    observed = observed_of(job, Observations())
    observed = simulate(observed, plan(job, observed, NOW))
    failed = settle(job, observed, NOW + 61)
    assert failed.body["status"]["reason"] == "DeadlineExceeded"
    assert plan(job, failed, NOW + 61).stages == frozenset()


def test_out_of_memory_of_the_server_names_its_limit() -> None:
    job = a_job()
    pod = running(restarts=1, last={"exitCode": 137, "reason": "OOMKilled"})
    observed = settle(job, with_pod(all_running(started(job)), "digits-server", **pod))
    assert "spec.server.resources.limits.memory" in observed.body["status"]["message"]


@pytest.mark.parametrize("reason", ["NonFiniteWeights", ""])
def test_what_the_server_gives_up_for_fails_the_job(reason: str) -> None:
    job = a_job()
    said = a_status(RunPhase.FAILED, 1, reason=reason, message="worker-1: NaN; lower the rate")
    observed = settle_and_read(job, heard(all_running(started(job)), said))
    status = observed.body["status"]
    assert status["state"] == "Failed"
    assert status["reason"] == (reason or "ServerCrashed")
    assert not [key for key in observed.children if key[0] == "Pod"]
    assert not plan(job, replace(observed, facts=Observations()), NOW + 9999).changes


def test_a_fenced_server_does_not_fail_the_job() -> None:
    job = a_job()
    observed = heard(all_running(started(job)), a_status(RunPhase.FAILED, 1, reason="Fenced"))
    actions = plan(job, observed, NOW)
    assert not actions.create
    assert not actions.delete
    assert settle(job, observed).body["status"]["state"] != "Failed"


def test_a_server_says_why_in_its_termination_message_too() -> None:
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


def test_a_server_that_crashes_beyond_the_limit_fails_the_job() -> None:
    job = a_job(runPolicy={"backoffLimit": 2})
    base = all_running(started(job))
    crash = {"exitCode": 3, "message": "line\n\nTypeError: x\n"}
    twice = with_pod(base, "digits-server", **running(ready=False, restarts=2, last=crash))
    assert settle(job, twice).body["status"]["state"] == "Recovering"
    # What it said before it crashed is still known, and is no commit of the new start.
    heard_before = settle(job, heard(base, a_status(RunPhase.TRAINING, 1)))
    assert record_in(heard_before).server.at_commit == 0
    thrice = with_pod(heard_before, "digits-server", **running(ready=False, restarts=3, last=crash))
    status = settle(job, thrice).body["status"]
    assert status["reason"] == "BackoffLimitExceeded"
    assert "TypeError: x" in status["message"]


def test_a_committed_round_begins_the_count_anew() -> None:
    job = a_job(runPolicy={"backoffLimit": 2})
    base = with_pod(all_running(started(job)), "digits-server", **running(restarts=2))
    said = a_status(completed=1, attempt=3, history=[a_commit(1, attempt=3)])
    observed = settle(job, heard(base, said))
    assert record_in(observed).server.at_commit == 2
    crashed = with_pod(observed, "digits-server", **running(ready=False, restarts=4))
    assert settle(job, crashed).body["status"]["state"] == "Recovering"


def test_suspending_takes_the_pods_and_keeps_the_rest() -> None:
    job = a_job()
    paused = a_job(runPolicy={"suspend": True})
    observed = all_running(started(job))
    held = respecified(observed, paused)
    actions = plan(paused, held, NOW)
    assert names(actions.delete) == ["digits-server", "digits-worker-0", "digits-worker-1"]
    rest = settle(paused, held)
    assert ("Secret", "digits-kit-server") in rest.children
    assert rest.body["status"]["state"] == "Suspended"
    resumed = plan(job, respecified(rest, job, 3), NOW)
    assert names(resumed.create) == ["digits-server-r1", "digits-worker-0-r1", "digits-worker-1-r1"]
    after = settle(job, simulate(respecified(rest, job, 3), resumed))
    assert record_in(after).server.total == 0
    assert condition(after.body["status"], "Suspended")["status"] == "False"


def test_a_job_that_is_born_suspended_does_nothing() -> None:
    paused = a_job(runPolicy={"suspend": True})
    actions = plan(paused, observed_of(paused, Observations()), NOW)
    assert not actions.stages
    assert not actions.create


def test_a_complete_job_keeps_its_pods_to_be_read_and_ends_those_that_linger() -> None:
    job = a_job()
    observed = heard(all_running(started(job)), complete_status())
    first = plan(job, observed, NOW + 20)
    assert not first.delete
    assert first.again is not None
    observed = settle(job, observed, NOW + 20)
    status = observed.body["status"]
    assert (status["state"], status["rounds"]["display"]) == ("Complete", "5/5")
    assert status["result"]["size"] == 1234
    for name in ("digits-server", "digits-worker-0"):
        observed = with_pod(observed, name, phase="Succeeded")
    late = plan(job, observed, NOW + 200)
    assert names(late.delete) == ["digits-worker-1"]
    rest = settle(job, replace(observed, facts=Observations()), NOW + 200)
    assert ("Pod", "digits-server") in rest.children
    assert rest.body["status"]["result"] == status["result"]
    assert rest.body["status"]["history"] == status["history"]
    assert rest.body["status"]["clients"] == status["clients"]


def test_more_rounds_wake_a_complete_job() -> None:
    job = a_job()
    done = heard(all_running(started(job)), complete_status())
    for name in ("digits-server", "digits-worker-0", "digits-worker-1"):
        done = with_pod(done, name, phase="Succeeded")
    done = settle(job, done, NOW + 20)
    more = a_job(federation={"numRounds": 8})
    observed = respecified(done, more)
    first = plan(more, observed, NOW + 30)
    assert first.stages == {Stage.INPUTS}
    observed = replace(observed, facts=replace(observed.facts, prepared=prepared_of(more)))
    actions = plan(more, observed, NOW + 30)
    assert names(actions.create, "Pod") == ["digits-server-r1"]
    observed = with_pod(simulate(observed, actions), "digits-server-r1", **running())
    observed = heard(observed, a_status(RunPhase.WAITING, 5), "digits-server-r1")
    workers = plan(more, observed, NOW + 60)
    assert names(workers.create, "Pod") == ["digits-worker-0-r1", "digits-worker-1-r1"]


def test_a_server_that_ended_unheard_is_looked_up_in_the_log() -> None:
    job = a_job()
    observed = with_pod(all_running(started(job)), "digits-server", phase="Succeeded")
    assert plan(job, observed, NOW).stages == {Stage.LOG}
    problem = Problem("StoreUnreachable", "no answer", NOW + 5)
    waiting = replace(observed, facts=replace(observed.facts, problems={Stage.LOG: problem}))
    assert plan(job, waiting, NOW).stages == frozenset()
    found = replace(observed, facts=replace(observed.facts, stored=complete_status()))
    assert settle(job, found).body["status"]["state"] == "Complete"
    short = replace(observed, facts=replace(observed.facts, stored=a_status(RunPhase.STARTING, 3)))
    assert names(plan(job, short, NOW).create) == ["digits-server-r1"]
    heard_it = heard(observed, a_status(RunPhase.COMPLETE, 5))  # complete, and without a result
    assert plan(job, heard_it, NOW).stages == frozenset()


def test_a_worker_that_left_too_early_is_started_again() -> None:
    job = a_job()
    end = {"exitCode": 0, "finishedAt": "2027-01-15T08:00:00Z"}
    observed = heard(all_running(started(job)), a_status(RunPhase.WAITING, 2))
    done = {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": end}}]}
    observed = with_pod(observed, "digits-worker-0", **done)
    assert not plan(job, observed, NOW).create
    assert plan(job, observed, NOW).again == 10
    actions = plan(job, observed, NOW + 11)
    assert names(actions.create) == ["digits-worker-0-r1"]
    assert names(actions.delete) == ["digits-worker-0"]


def test_the_deadline_fails_the_job_in_time() -> None:
    job = a_job(runPolicy={"activeDeadlineSeconds": 100})
    observed = started(job)
    assert plan(job, observed, NOW + 40).again == pytest.approx(60)
    observed = settle(job, observed, NOW + 100)
    assert observed.body["status"]["reason"] == "DeadlineExceeded"
    longer = a_job(runPolicy={"activeDeadlineSeconds": 500})
    revived = plan(longer, respecified(observed, longer), NOW + 200)
    assert names(revived.create, "Pod")


@pytest.mark.parametrize("end", ["complete", "failed"])
def test_a_finished_job_is_deleted_after_its_ttl(end: str) -> None:
    job = a_job(runPolicy={"ttlSecondsAfterFinished": 30})
    said = complete_status() if end == "complete" else a_status(RunPhase.FAILED, reason="Fault")
    comes_to_rest = settle if end == "complete" else settle_and_read
    observed = comes_to_rest(job, heard(all_running(started(job)), said), NOW + 16)
    early = plan(job, observed, NOW + 20)
    assert not early.delete_job
    assert early.again is not None
    assert early.again <= 30
    assert plan(job, observed, NOW + 60).delete_job


def test_a_stage_that_failed_waits_unless_the_spec_is_another() -> None:
    job = a_job()
    problem = Problem("ShardsMissing", "upload", NOW + 8, made_from=spec_digest(job))
    observed = observed_of(job, Observations(problems={Stage.INPUTS: problem}))
    actions = plan(job, observed, NOW)
    assert not actions.stages
    assert actions.again == pytest.approx(8)
    assert condition(actions.status, "Accepted")["reason"] == "ShardsMissing"
    assert plan(job, observed, NOW + 8).stages == {Stage.INPUTS}
    other = a_job(federation={"numRounds": 9})
    assert plan(other, respecified(observed, other), NOW).stages == {Stage.INPUTS}


def test_urls_are_renewed_before_they_end_also_by_another_operator() -> None:
    """Row 38: the end is in the Secret's annotation."""
    job = a_job()
    observed = all_running(started(job))
    restarted = replace(observed, facts=Observations())
    first = plan(job, restarted, NOW)
    assert not first.stages
    assert first.again == pytest.approx(1800)
    assert plan(job, restarted, NOW + 1801).stages == {Stage.URLS}
    fresh = facts_of(job).urls
    later = {name: replace(url, expires=NOW + 5400, url="new") for name, url in fresh.items()}
    renewed = replace(restarted, facts=Observations(urls=later))
    actions = plan(job, renewed, NOW + 1801)
    assert names(actions.apply) == ["digits-url-worker-0", "digits-url-worker-1"]
    assert not settle(job, renewed, NOW + 1801).facts.problems


def test_kits_are_never_made_again_while_they_are_there() -> None:
    job = a_job()
    observed = started(job)
    other = Kits("set-2", observed.facts.kits.files if observed.facts.kits else {})
    assert not plan(job, replace(observed, facts=facts_of(job, kits=other)), NOW).changes
    lost = without(
        replace(observed, facts=replace(observed.facts, kits=None)), "Secret", "digits-kit-worker-0"
    )
    assert plan(job, lost, NOW).stages == {Stage.KITS}
    made = replace(lost, facts=replace(lost.facts, kits=other))
    actions = plan(job, made, NOW)
    assert "digits-kit-server" in names(actions.apply)
    assert len(names(actions.delete, "Pod")) == 3
    partial = Kits("set-3", {"server": {}})
    assert plan(job, replace(lost, facts=replace(lost.facts, kits=partial)), NOW).stages == {
        Stage.KITS
    }


def test_a_new_base_image_of_the_operator_leaves_running_jobs_alone() -> None:
    job = a_job()
    observed = replace(
        all_running(started(job)), facts=Observations(), defaults=replace(DEFAULTS, cpu="1")
    )
    assert not plan(job, observed, NOW).changes


def test_gpus_are_decided_once() -> None:
    job = a_job(workers={"gpu": 2})
    for offered, expected in ((None, False), (1, False), (2, True)):
        observed = started(job, facts_of(job, gpus=offered))
        assert record_in(observed).gpus is expected
        pod = observed.children["Pod", "digits-worker-0"]
        limits = pod["spec"]["containers"][0]["resources"].get("limits", {})
        assert ("nvidia.com/gpu" in limits) is expected
        fallback = [c for c in observed.body["status"]["conditions"] if c["type"] == "GpuFallback"]
        assert bool(fallback) is not expected
        later = replace(observed, facts=facts_of(job, gpus=8))
        assert not plan(job, later, NOW).changes
    waits = a_job(workers={"gpu": 2, "gpuFallback": "wait"})
    assert record_in(started(waits, facts_of(waits, gpus=0))).gpus is True


def test_resources_of_a_running_job_may_change() -> None:
    job = a_job()
    observed = all_running(started(job))
    more = a_job(server={"resources": {"limits": {"memory": "4Gi"}}})
    changed = respecified(observed, more)
    actions = plan(more, changed, NOW)
    assert names(actions.delete) == ["digits-server"]
    after = settle(more, simulate(changed, actions), NOW + 5)
    assert ("Pod", "digits-server-r1") in after.children
    assert record_in(after).server.total == 0


POD_STATUS = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown", ""]),
        "reason": st.sampled_from(["Evicted", "NodeLost", ""]),
        "podIP": st.just("10.0.0.1"),
        "conditions": st.sampled_from(
            [
                None,
                [{"type": "Ready", "status": "True"}],
                [
                    {
                        "type": "PodScheduled",
                        "reason": "Unschedulable",
                        "message": "no nvidia.com/gpu",
                    }
                ],
            ]
        ),
        "containerStatuses": st.sampled_from(
            [
                None,
                [],
                [{"restartCount": 1, "state": {"waiting": {"reason": "ImagePullBackOff"}}}],
                [{"restartCount": 9, "lastState": {"terminated": {"exitCode": 3}}}],
                [{"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}],
                [{"restartCount": 2, "lastState": {"terminated": {"exitCode": 64}}}],
            ]
        ),
    },
)
JOBS = [
    a_job(),
    a_job(runPolicy={"suspend": True}),
    a_job(workers={"gpu": 1, "gpuFallback": "wait", "maxRestarts": 0}),
    a_job(runPolicy={"activeDeadlineSeconds": 50, "ttlSecondsAfterFinished": 0, "backoffLimit": 0}),
    a_job(federation={"numRounds": 9, "minClients": 2}),
]
SAID = st.one_of(
    st.none(),
    st.builds(
        a_status,
        st.sampled_from(RunPhase),
        st.integers(0, 6),
        reason=st.sampled_from(["", "Fenced", "OutOfMemory"]),
        result_key=st.sampled_from([None, "m"]),
        history=st.sampled_from([[], [a_commit(1)], [a_commit(4, attempt=7)]]),
    ),
)


class State:
    """A job, what is observed of it and when; its repr tells what differs, not all there is."""

    def __init__(self, job: FederatedJob, observed: Observed, now: float) -> None:
        self.job, self.observed, self.now = job, observed, now

    def __repr__(self) -> str:
        spec = self.job.spec.model_dump(mode="json", exclude_defaults=True, exclude={"model"})
        facts = self.observed.facts
        pods = {
            name: (body["metadata"].get("deletionTimestamp"), body.get("status"))
            for (kind, name), body in self.observed.children.items()
            if kind == "Pod"
        }
        said = [
            s and (s.phase, s.completed)
            for s in (facts.server and facts.server.status, facts.stored)
        ]
        return f"{spec} {pods} {said} {facts.gpus} prepared={facts.prepared is not None} {self.now}"


@st.composite
def states(draw: st.DrawFn) -> State:
    """A started job of which anything may have happened since."""
    observed = started(JOBS[0])
    job = draw(st.sampled_from(JOBS))
    children: dict[Any, Body] = {}
    for key, body in observed.children.items():
        fate = draw(st.sampled_from(["kept", "kept", "kept", "gone", "stranger", "leaving"]))
        child = copy.deepcopy(body)
        if fate == "gone":
            continue
        if fate == "stranger" and key[0] != "ConfigMap":
            child["metadata"]["ownerReferences"] = draw(st.sampled_from([None, []]))
        if fate == "leaving":
            child["metadata"]["deletionTimestamp"] = draw(
                st.sampled_from(["2027-01-15T07:59:00Z", "2027-01-15T08:10:00Z", "no time"])
            )
        if key[0] == "Pod":
            child["status"] = draw(POD_STATUS)
        children[key] = child
    facts = draw(
        st.sampled_from([observed.facts, Observations(), facts_of(job), facts_of(job, gpus=1)])
    )
    facts = replace(facts, stored=draw(SAID))
    observed = respecified(replace(observed, children=children, facts=facts), job)
    said = draw(SAID)
    if said is not None and ("Pod", "digits-server") in children:
        observed = heard(observed, said)
    return State(job, observed, NOW + draw(st.sampled_from([0.0, 1.0, 70.0, 4000.0])))


@settings(max_examples=150, deadline=None)
@given(states())
def test_the_plan_is_total_pure_and_touches_only_its_own(
    state: State,
) -> None:
    job, observed, now = state.job, state.observed, state.now
    actions = plan(job, observed, now)
    assert actions == plan(job, observed, now)
    assert actions.status is not None
    for body in (*actions.delete, *actions.apply):
        known = observed.children[key_of(body)]
        assert owner_uid(known) == UID
    for body in actions.create:
        assert key_of(body) not in observed.children
        assert owner_uid(body) == UID
    assert actions.again is None or actions.again >= 0
    if actions.delete_job:
        assert job.spec.run_policy.ttl_seconds_after_finished is not None


@settings(max_examples=100, deadline=None)
@given(states())
def test_the_plan_comes_to_rest(state: State) -> None:
    settle(state.job, state.observed, state.now)


def test_an_operator_that_died_before_it_remembered_finds_its_pods() -> None:
    """Pods come first and the record last: what is there tells what has been done."""
    job = a_job()
    observed = observed_of(job)
    actions = replace(plan(job, observed, NOW), record=None)
    half = without(simulate(observed, actions), "Pod", "digits-worker-1")
    assert names(plan(job, half, NOW).create) == ["digits-worker-1"]
    replaced = without(all_running(started(job)), "Pod", "digits-worker-1")
    unremembered = replace(plan(job, replaced, NOW), record=None)
    observed = simulate(replaced, unremembered)
    after = settle(job, observed)
    assert ("Pod", "digits-worker-1-r1") in after.children
    assert record_in(after).workers["worker-1"].ordinal == 1


def test_an_operator_that_ends_between_the_record_and_the_delete_counts_no_restart() -> None:
    observed = settle(a_job(), all_running(started(a_job())))
    changed = a_job(workers={"gpu": 0, "resources": {"requests": {"cpu": "9m"}}})
    observed = respecified(observed, changed)
    actions = plan(changed, observed, NOW + 500)
    assert {"digits-worker-0", "digits-worker-1"} <= set(names(actions.delete))
    # The record is written, and the pods are not deleted.
    observed = simulate(observed, replace(actions, delete=()), NOW + 500)
    actions = plan(changed, observed, NOW + 500)
    assert {"digits-worker-0", "digits-worker-1"} <= set(names(actions.delete))
    assert not [body for body in actions.create if body["kind"] == "Pod"], "the old ones go first"
    after = record_in(settle(changed, observed, NOW + 500))
    assert {name: (s.ordinal, s.total) for name, s in after.workers.items()} == {
        "worker-0": (1, 0),
        "worker-1": (1, 0),
    }


def test_pods_are_created_before_the_record_and_deleted_after_it() -> None:
    calls = []

    class Recorder:
        """In place of the API and of what is observed."""

        children: Mapping[Any, Body] = {}

        async def delete(self, body: Body) -> None:
            calls.append(f"delete {body['metadata']['name']}")

        async def create(self, body: Body) -> Body:
            calls.append(f"create {body['metadata']['name']}")
            return body

        def observe(self, key: object) -> Recorder:
            return self

        def saw_child(self, kind: str, body: Body, *, deleted: bool = False) -> None:
            """Nothing to keep."""

    def named(kind: str, name: str) -> Body:
        meta = {"name": name, "namespace": "default", "labels": {COMPONENT: "worker"}}
        return {"kind": kind, "metadata": meta}

    both: Any = Recorder()
    actions = Actions(
        (named("Pod", "old"), named("Secret", "unwanted")),
        (named("Pod", "new"),),
        record=named("ConfigMap", "record"),
    )
    asyncio.run(carry_out(both, both, ("default", "digits"), "uid", actions))
    assert calls == ["delete unwanted", "create new", "create record", "delete old"]


def test_an_operator_that_ends_between_the_record_and_the_status_has_its_rounds_told() -> None:
    job = a_job()
    observed = heard(all_running(started(job)), complete_status())
    status = {**observed.body["status"], "history": []}
    after = settle(job, observed)
    assert after.body["status"]["history"][-1]["round"] == 5
    assert plan(job, after, NOW).stages == frozenset()
    # The next operator: a record of the end, nothing heard, and a status without the rounds.
    body = {**after.body, "status": status}
    gone = replace(after, body=body, facts=replace(after.facts, server=None, stored=None))
    assert plan(job, gone, NOW).stages == {Stage.LOG}
    problem = Problem("StoreUnreachable", "wait", NOW + 8)
    failing = replace(gone, facts=replace(gone.facts, problems={Stage.LOG: problem}))
    assert plan(job, failing, NOW).stages == frozenset()
    read = replace(gone, facts=replace(gone.facts, stored=complete_status()))
    actions = plan(job, read, NOW)
    assert actions.stages == frozenset()
    assert actions.status is not None
    assert actions.status["history"] == after.body["status"]["history"]
    assert actions.status["metric"] == after.body["status"]["metric"]

"""A job that prepares or runs: stages, objects, conflicts, GPUs and reruns."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from fedjob.protocol.server_status import RunPhase
from fedjob_operator.planning.desired import key_of
from fedjob_operator.state.observed import Observations, Problem, Stage
from support.operator.runs import (
    all_running,
    condition,
    names,
    settle,
    started,
)
from support.operator.samples import (
    DEFAULTS,
    NOW,
    a_job,
    a_status,
    complete_status,
    knowing,
    observations_of,
    observed_of,
    plan_for,
    prepared_of,
    record_in,
    reporting,
    respecified,
    running,
    simulate,
    with_pod,
    without,
)


def test_new_job_reads_its_inputs_first() -> None:
    actions = plan_for(a_job(), observed_of(a_job(), Observations()), NOW)
    assert actions.stages == {Stage.INPUTS}
    assert not actions.create
    assert actions.status is not None
    assert actions.status["state"] == "Pending"


def test_remaining_stages_start_together() -> None:
    job = a_job()
    bare = prepared_of(job).model_copy(update={"workspace": "", "image": None})
    actions = plan_for(job, observed_of(job, Observations(prepared=bare)), NOW)
    assert actions.stages == {Stage.WORKSPACE, Stage.IMAGE, Stage.KITS, Stage.URLS}
    assert actions.status is not None
    assert actions.status["state"] == "Uploading"
    assert not names(actions.create, "Pod")


def test_prepared_job_gets_all_objects_and_pods_last() -> None:
    job = a_job()
    actions = plan_for(job, observed_of(job), NOW)
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


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap", "Service", "NetworkPolicy"])
def test_deleted_objects_are_created_again(kind: str) -> None:
    job = a_job()
    observed = started(job)
    name = next(n for k, n in observed.children if k == kind and "record" not in n)
    actions = plan_for(job, without(observed, kind, name), NOW)
    again = names(actions.create, kind) or actions.stages
    assert again == [name] or Stage.KITS in actions.stages or Stage.URLS in actions.stages


def test_edited_objects_are_applied_again() -> None:
    job = a_job()
    observed = started(job)
    service = copy.deepcopy(observed.children["Service", "digits-server"])
    service["spec"]["clusterIP"] = "10.0.0.1"
    observed = replace(observed, children={**observed.children, key_of(service): service})
    assert names(plan_for(job, observed, NOW).apply) == ["digits-server"]


def test_defaults_of_the_api_server_are_not_drift() -> None:
    job = a_job()
    observed = started(job)
    service = copy.deepcopy(observed.children["Service", "digits-server"])
    service["spec"]["sessionAffinity"] = "None"
    service["status"] = {"loadBalancer": {}}
    observed = replace(observed, children={**observed.children, key_of(service): service})
    assert not plan_for(job, observed, NOW).changes


def test_owned_objects_that_are_not_wanted_are_deleted() -> None:
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
    assert names(plan_for(job, observed, NOW).delete) == ["digits-old", "digits-worker-9"]


def test_name_conflict_leaves_the_object_alone_and_is_reported() -> None:
    job = a_job()
    observed = observed_of(job)
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "digits-server", "namespace": "team"},
    }
    observed = replace(observed, children={("Service", "digits-server"): foreign})
    actions = plan_for(job, observed, NOW)
    assert not names(actions.create, "Pod")
    assert "digits-server" not in names((*actions.delete, *actions.apply))
    shown = condition(actions.status, "Accepted")
    assert (shown["status"], shown["reason"]) == ("False", "AdmissionRefused")
    assert "Service digits-server" in shown["message"]
    waits = observed_of(
        job, observations_of(job, name_conflicts={("Pod", "digits-worker-0"): NOW + 9})
    )
    assert not names(plan_for(job, waits, NOW).create, "Pod")
    assert names(plan_for(job, waits, NOW + 10).create, "Pod")


def test_image_that_nodes_cannot_pull_is_checked_again() -> None:
    job = a_job()
    observed = all_running(started(job))
    pulls = {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    observed = with_pod(observed, "digits-worker-0", phase="Pending", **pulls)
    assert plan_for(job, observed, NOW).stages == {Stage.IMAGE}
    assert plan_for(job, observed, NOW).again == 60
    checked = knowing(observed, image_checked=NOW - 59)
    assert not plan_for(job, checked, NOW).stages
    assert plan_for(job, checked, NOW + 2).stages == {Stage.IMAGE}
    for retry_at, stages in ((NOW + 1, set()), (NOW, {Stage.IMAGE})):
        problem = Problem("RegistryUnreachable", "no answer", retry_at)
        failed = knowing(checked, problems={Stage.IMAGE: problem})
        assert plan_for(job, failed, NOW).stages == stages


def test_running_worker_with_exhausted_restarts_is_stopped() -> None:
    job = a_job(workers={"gpu": 0, "maxRestarts": 1}, federation={"minClients": 1})
    pod = running(restarts=2, last={"exitCode": 3, "reason": "Error"})
    observed = with_pod(all_running(started(job)), "digits-worker-1", **pod)
    actions = plan_for(job, observed, NOW)
    assert names(actions.delete) == ["digits-worker-1"]
    settle(job, observed)


def test_log_is_read_where_a_server_ended_without_a_final_status() -> None:
    job = a_job()
    observed = with_pod(all_running(started(job)), "digits-server", phase="Succeeded")
    assert plan_for(job, observed, NOW).stages == {Stage.LOG}
    problem = Problem("StoreUnreachable", "no answer", NOW + 5)
    waiting = knowing(observed, problems={Stage.LOG: problem})
    assert plan_for(job, waiting, NOW).stages == frozenset()
    found = knowing(observed, log_status=complete_status())
    assert settle(job, found).body["status"]["state"] == "Complete"
    short = knowing(observed, log_status=a_status(RunPhase.STARTING, 3))
    assert names(plan_for(job, short, NOW).create) == ["digits-server-r1"]
    complete = reporting(observed, a_status(RunPhase.COMPLETE, 5))  # without a result
    assert plan_for(job, complete, NOW).stages == frozenset()


def test_worker_that_ended_too_early_is_started_again() -> None:
    job = a_job()
    end = {"exitCode": 0, "finishedAt": "2027-01-15T08:00:00Z"}
    observed = reporting(all_running(started(job)), a_status(RunPhase.WAITING, 2))
    done = {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": end}}]}
    observed = with_pod(observed, "digits-worker-0", **done)
    assert not plan_for(job, observed, NOW).create
    assert plan_for(job, observed, NOW).again == 10
    actions = plan_for(job, observed, NOW + 11)
    assert names(actions.create) == ["digits-worker-0-r1"]
    assert names(actions.delete) == ["digits-worker-0"]


def test_new_operator_settings_leave_running_jobs_alone() -> None:
    job = a_job()
    observed = replace(
        all_running(started(job)), observations=Observations(), defaults=replace(DEFAULTS, cpu="1")
    )
    assert not plan_for(job, observed, NOW).changes


def test_use_of_gpus_is_decided_once() -> None:
    job = a_job(workers={"gpu": 2})
    for offered, expected in ((None, False), (1, False), (2, True)):
        observed = started(job, observations_of(job, gpus=offered))
        assert record_in(observed).gpus is expected
        pod = observed.children["Pod", "digits-worker-0"]
        limits = pod["spec"]["containers"][0]["resources"].get("limits", {})
        assert ("nvidia.com/gpu" in limits) is expected
        fallback = [c for c in observed.body["status"]["conditions"] if c["type"] == "GpuFallback"]
        assert bool(fallback) is not expected
        later = replace(observed, observations=observations_of(job, gpus=8))
        assert not plan_for(job, later, NOW).changes
    waits = a_job(workers={"gpu": 2, "gpuFallback": "wait"})
    assert record_in(started(waits, observations_of(waits, gpus=0))).gpus is True


def test_changed_resources_replace_the_pod_without_counting_a_restart() -> None:
    job = a_job()
    observed = all_running(started(job))
    more = a_job(server={"resources": {"limits": {"memory": "4Gi"}}})
    changed = respecified(observed, more)
    actions = plan_for(more, changed, NOW)
    assert names(actions.delete) == ["digits-server"]
    after = settle(more, simulate(changed, actions), NOW + 5)
    assert ("Pod", "digits-server-r1") in after.children
    assert record_in(after).server.total == 0

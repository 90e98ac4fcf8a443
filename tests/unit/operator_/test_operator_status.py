"""The status as a person reads it: conditions, state, rounds, clients, and when it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedjob.errors import Fault, InvalidInputError
from fedjob.protocol.server_status import ClientState, ClientView, RunPhase
from fedjob.spec.models.job import FederatedJob
from fedjob.spec.models.status import FederatedJobStatus
from fedjob_operator.controller.status_poller import significant
from fedjob_operator.naming import Body
from fedjob_operator.planning.event_rules import changes, forwarded
from fedjob_operator.planning.plan import plan
from fedjob_operator.planning.refused import refused_status
from fedjob_operator.planning.status import worth_writing
from fedjob_operator.state.observed import Observations, Observed, Problem, Stage
from support.operator_samples import (
    NOW,
    a_commit,
    a_job,
    a_status,
    complete_status,
    facts_of,
    heard,
    observed_of,
    prepared_of,
    running,
    simulate,
    with_pod,
)


def ready(
    job: FederatedJob | None = None, facts: Observations | None = None
) -> tuple[FederatedJob, Observed]:
    """A job whose pods run and are ready."""
    job = job or a_job()
    observed = observed_of(job, facts)
    observed = simulate(observed, plan(job, observed, NOW))
    for name in ("digits-server", "digits-worker-0", "digits-worker-1"):
        observed = with_pod(observed, name, **running())
    return job, observed


def told(job: FederatedJob, observed: Observed, now: float = NOW) -> Body:
    status = plan(job, observed, now).status
    assert status is not None
    FederatedJobStatus.model_validate(status)
    return status


def condition(status: Body, kind: str) -> Body:
    return next(c for c in status["conditions"] if c["type"] == kind)


def test_a_training_job_says_so() -> None:
    job, observed = ready()
    status = told(job, heard(observed, a_status()))
    assert status["state"] == "Training"
    assert status["rounds"] == {"completed": 2, "total": 5, "display": "2/5"}
    assert status["clients"]["display"] == "2/2"
    assert status["metric"] == "val_accuracy 0.52"
    assert [r["round"] for r in status["history"]] == [1, 2]
    assert status["history"][0]["samples"] == 20
    assert condition(status, "Training")["message"] == "round 3 of 5"
    assert status["image"]["digest"].startswith("sha256:")
    assert status["attempt"] == 1
    for kind in ("Accepted", "WorkspaceUploaded", "ImageReady", "ServerReady", "WorkersReady"):
        assert condition(status, kind)["status"] == "True", kind
        assert condition(status, kind)["observedGeneration"] == 1


def test_a_transition_time_changes_with_its_status_only() -> None:
    job, observed = ready()
    first = told(job, observed)
    observed = replace(observed, body={**observed.body, "status": first})
    later = told(job, heard(observed, a_status()), NOW + 60)
    assert condition(later, "Accepted") == condition(first, "Accepted")
    before, after = condition(first, "Training"), condition(later, "Training")
    assert before["lastTransitionTime"] != after["lastTransitionTime"]


def test_the_end_is_expected_at_the_pace_of_the_last_rounds() -> None:
    job, observed = ready()
    said = heard(observed, a_status(completed=2))
    assert told(job, said)["eta"] == told(job, said, NOW + 100)["eta"] == "2027-01-15T08:00:15Z"
    for phase, completed in ((RunPhase.WAITING, 2), (RunPhase.TRAINING, 0), (RunPhase.TRAINING, 5)):
        assert "eta" not in told(job, heard(observed, a_status(phase, completed)))
    undated = a_status(history=[a_commit(1, ended="yesterday")])
    assert "eta" not in told(job, heard(observed, undated))


@pytest.mark.parametrize(
    ("metrics", "shown"),
    [
        ({"loss": 1.5, "val_accuracy": 0.93456}, "val_accuracy 0.9346"),
        ({"zeta": 2.0, "beta": 1.0}, "beta 1"),
        ({}, None),
    ],
)
def test_the_metric_that_says_most_is_shown(metrics: dict[str, float], shown: str | None) -> None:
    job, observed = ready()
    said = a_status(completed=1, history=[a_commit(1, metrics=metrics)])
    assert told(job, heard(observed, said)).get("metric") == shown


def test_what_is_not_known_now_stays_as_it_was_told() -> None:
    job, observed = ready()
    status = told(job, heard(observed, a_status(retries={"worker": 2})))
    quiet = replace(observed, body={**observed.body, "status": status})
    again = told(job, quiet)
    for name in ("rounds", "history", "metric", "metrics", "retries", "attempt"):
        assert again[name] == status[name], name


def test_heartbeats_are_rounded_to_seconds_that_bound_the_writes() -> None:
    job, observed = ready()

    def at(second: float) -> Body:
        view = ClientView(
            name="worker-0", shard="s0.zip", state=ClientState.CONNECTED, last_heartbeat=second
        )
        return told(job, heard(observed, a_status(clients=[view])))

    assert at(NOW + 1) == at(NOW + 4)
    assert at(NOW + 1) != at(NOW + 6)
    status = at(NOW)
    assert status["clients"]["display"] == "1/2"
    assert condition(status, "WorkersReady")["status"] == "False"


def test_writes_are_bounded() -> None:
    old: Body = {"state": "Training", "rounds": {"completed": 1}}
    assert worth_writing(old, dict(old), 0) is None
    assert worth_writing(old, {**old, "rounds": {"completed": 2}}, 0.5) == pytest.approx(1.5)
    assert worth_writing(old, {**old, "eta": "x"}, 9) == 0
    assert worth_writing(old, {**old, "state": "Failed"}, 0.1) == 0

    def beats(*moments: str, state: str = "Training") -> Body:
        found = [
            {"name": str(i), "lastHeartbeat": m, "state": state} for i, m in enumerate(moments)
        ]
        return {**old, "clients": {"connected": 2, "list": found}}

    # Heartbeats alone wait longer than what is news, whichever worker they are of.
    assert worth_writing(beats("a", "a"), beats("b", "a"), 1) == pytest.approx(4)
    assert worth_writing(beats("a", "a"), beats("b", "c"), 7) == 0
    assert worth_writing(beats("a", "a"), beats("b", "a", state="Lost"), 1) == pytest.approx(1)


def test_a_worker_that_is_not_heard_while_its_pod_runs_is_lost() -> None:
    """Row 15, as a person sees it; when it was heard last stays."""
    job, observed = ready()
    there = ClientView(
        name="worker-0", shard="s0.zip", state=ClientState.CONNECTED, last_heartbeat=NOW
    )
    status = told(job, heard(observed, a_status(clients=[there])))
    beat = status["clients"]["list"][0]["lastHeartbeat"]
    gone = there.model_copy(update={"state": ClientState.LOST, "last_heartbeat": None})
    after = replace(observed, body={**observed.body, "status": status})
    status = told(job, heard(after, a_status(clients=[gone])))
    worker = status["clients"]["list"][0]
    assert (worker["state"], worker["lastHeartbeat"]) == ("Lost", beat)
    found = condition(status, "WorkersReady")
    assert found["reason"] == "WorkerLost"
    assert "heartBeatTimeout, 600 s" in found["message"]


PROBLEMS = [
    (Stage.KITS, "ServerReady"),
    (Stage.APPLY, "ServerReady"),
    (Stage.URLS, "WorkersReady"),
    (Stage.IMAGE, "ImageReady"),
]


@pytest.mark.parametrize(("stage", "kind"), PROBLEMS)
def test_a_stage_that_fails_is_told_in_its_condition(stage: Stage, kind: str) -> None:
    job = a_job()
    problem = Problem("RegistryRefused", "no; log in", NOW + 9)
    status = told(job, observed_of(job, facts_of(job, problems={stage: problem})))
    assert condition(status, kind)["reason"] == "RegistryRefused"
    assert condition(status, kind)["message"] == "no; log in"


def test_an_upload_that_fails_is_told() -> None:
    job = a_job()
    bare = prepared_of(job).model_copy(update={"workspace": "", "image": None})
    problem = Problem("BucketMissing", "make it", NOW + 9)
    facts = Observations(prepared=bare, problems={Stage.WORKSPACE: problem})
    status = told(job, observed_of(job, facts))
    assert (status["state"], status["reason"]) == ("Uploading", "BucketMissing")
    uploaded = prepared_of(job).model_copy(update={"image": None})
    building = told(job, observed_of(job, Observations(prepared=uploaded)))
    assert building["state"] == "Building"
    assert "image" not in building


def test_the_image_says_whether_it_was_there() -> None:
    job = a_job()
    image = prepared_of(job).image
    assert image is not None
    hit = image.model_copy(update={"cache_hit": True})
    cached = prepared_of(job).model_copy(update={"image": hit})
    status = told(job, observed_of(job, facts_of(job, prepared=cached)))
    assert condition(status, "ImageReady")["reason"] == "CacheHit"
    assert status["image"]["cacheHit"] is True


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"state": state}]}


def unschedulable(message: str) -> dict[str, Any]:
    found = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return {"phase": "Pending", "conditions": [{**found, "message": message}]}


TROUBLE = [
    (waiting("ImagePullBackOff", "no such image"), "ImagePullFailed", "no such image"),
    (waiting("CreateContainerConfigError", "no Secret"), "AdmissionRefused", "no Secret"),
    (waiting("CreateContainerError"), "AdmissionRefused", "CreateContainerError"),
    (unschedulable("0/3 nodes: Insufficient cpu"), "Unschedulable", "Insufficient cpu"),
    (unschedulable("Insufficient nvidia.com/gpu"), "GpuUnavailable", "gpuFallback: cpu"),
]


@pytest.mark.parametrize(("pod", "reason", "words"), TROUBLE, ids=[t[1] for t in TROUBLE])
def test_a_pod_that_does_not_start_is_explained(
    pod: dict[str, Any], reason: str, words: str
) -> None:
    job, observed = ready()
    empty = {"containerStatuses": [], "conditions": []}
    server = told(job, with_pod(observed, "digits-server", **{**empty, **pod}))
    found = condition(server, "ServerReady")
    assert (found["status"], found["reason"]) == ("False", reason)
    assert words in found["message"]
    worker = told(job, with_pod(observed, "digits-worker-1", **{**empty, **pod}))
    found = condition(worker, "WorkersReady")
    assert found["reason"] == reason
    assert words in found["message"]
    assert worker["clients"]["list"][1]["state"] in ("Pending", pod_waiting(pod))


def test_a_job_with_a_queue_waits_for_kueue() -> None:
    """Its pods are one group, gated until it is admitted; without a queue nothing of that."""
    job = a_job()
    plain = plan(job, observed_of(job), NOW)
    assert not any("schedulingGates" in body.get("spec", {}) for body in plain.create)
    assert "kueue" not in str(plain.create)
    labels = {"kueue.x-k8s.io/queue-name": "team-a"}
    meta = job.metadata.model_copy(update={"labels": labels})
    queued = job.model_copy(update={"metadata": meta})
    observed = observed_of(queued)
    actions = plan(queued, observed, NOW)
    pods = [body for body in actions.create if body["kind"] == "Pod"]
    assert len(pods) == 3
    for pod in pods:
        assert pod["metadata"]["labels"].items() >= labels.items()
        assert pod["metadata"]["labels"]["kueue.x-k8s.io/pod-group-name"] == "digits"
        assert pod["metadata"]["annotations"]["kueue.x-k8s.io/pod-group-total-count"] == "3"
        assert pod["spec"]["schedulingGates"] == [{"name": "kueue.x-k8s.io/admission"}]
    observed = simulate(observed, actions)
    waits = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    for pod in pods:
        observed = with_pod(observed, pod["metadata"]["name"], conditions=[waits])
    status = told(queued, observed)
    assert (status["state"], status["reason"]) == ("Starting", "Queued")


def pod_waiting(pod: dict[str, Any]) -> str:
    statuses = pod.get("containerStatuses") or [{"state": {"waiting": {"reason": "Pending"}}}]
    return str(statuses[0]["state"]["waiting"]["reason"])


def test_a_crashing_worker_is_named_with_its_last_words() -> None:
    job, observed = ready()
    end = {"exitCode": 3, "message": "Traceback\nValueError: no\n"}
    observed = with_pod(observed, "digits-worker-0", **running(restarts=1, last=end))
    message = condition(told(job, observed), "WorkersReady")["message"]
    assert "worker-0: ended with exit code 3" in message
    assert "ValueError: no" in message
    assert "restart 1 of 3" in message
    assert condition(told(job, observed), "Recovering")["status"] == "True"


def test_a_shard_that_is_gone_is_told_by_the_workers_own_reason() -> None:
    job, observed = ready()
    words = '{"phase": "Failed", "reason": "ObjectMissing", "message": "not in the store"}'
    end = {"exitCode": 64, "message": words}
    found = condition(
        told(job, with_pod(observed, "digits-worker-0", **running(restarts=1, last=end))),
        "WorkersReady",
    )
    assert found["reason"] == "ObjectMissing"
    assert "worker-0: cannot use its shard: not in the store; mend" in found["message"]


def test_a_kit_that_a_worker_refuses_is_not_called_a_shard() -> None:
    job, observed = ready()
    words = '{"phase": "Failed", "reason": "KitInvalid", "message": "client.crt has expired"}'
    end = {"exitCode": 64, "message": words}
    found = condition(
        told(job, with_pod(observed, "digits-worker-0", **running(restarts=1, last=end))),
        "WorkersReady",
    )
    assert found["reason"] == "KitInvalid"
    assert "worker-0: cannot use its startup kit: client.crt has expired" in found["message"]


def test_a_resumed_job_starts_and_does_not_recover() -> None:
    """What was lost before the suspension is counted, and no longer being made good."""
    job, observed = ready()
    lost = with_pod(observed, "digits-server", **running(restarts=1, last={"exitCode": 1}))
    lost = simulate(lost, plan(job, lost, NOW))
    held = a_job(runPolicy={"suspend": True})
    stopped = simulate(lost, plan(held, lost, NOW))
    stopped = replace(
        stopped, children={k: b for k, b in stopped.children.items() if k[0] != "Pod"}
    )
    resumed = simulate(stopped, plan(job, stopped, NOW))
    resumed = with_pod(resumed, "digits-server-r1", **running(ready=False))
    status = told(job, resumed)
    assert status["state"] == "Starting"
    assert all(c["status"] == "False" for c in status["conditions"] if c["type"] == "Recovering")


def test_a_worker_that_has_ended_well_is_no_trouble() -> None:
    job, observed = ready()
    observed = with_pod(observed, "digits-worker-0", phase="Succeeded")
    assert "worker-0: has ended" in condition(told(job, observed), "WorkersReady")["message"]


def test_a_pod_that_is_waited_for_is_told() -> None:
    job, observed = ready()
    leaving = with_pod(observed, "digits-worker-0", deleting=NOW + 5)
    leaving = with_pod(leaving, "digits-server", deleting=NOW + 5)
    status = told(job, leaving)
    assert "its pod is started in 7 s" in condition(status, "WorkersReady")["message"]
    assert "the server is started in 7 s" in condition(status, "ServerReady")["message"]
    bare = observed_of(job)
    assert "the server is being started" in condition(told(job, bare), "ServerReady")["message"]


def test_a_crashed_server_that_said_nothing() -> None:
    job, observed = ready()
    pod = running(ready=False, restarts=1, last={"exitCode": 1})
    status = told(job, with_pod(observed, "digits-server", **pod))
    assert "it said nothing" in condition(status, "ServerReady")["message"]
    assert status["state"] == "Recovering"


def test_training_stops_being_true_when_the_server_waits() -> None:
    job, observed = ready()
    said = a_status(RunPhase.WAITING, 1, message="waiting for worker-1")
    status = told(job, heard(observed, said))
    assert condition(status, "Training")["message"] == "waiting for worker-1"
    assert status["state"] == "Starting"
    assert told(job, heard(observed, a_status(RunPhase.FINISHING, 5)))["state"] == "Training"


def test_ends_are_told_everywhere() -> None:
    job, observed = ready()
    done = told(job, heard(observed, complete_status()), NOW + 20)
    assert condition(done, "Complete")["status"] == "True"
    assert condition(done, "Training")["reason"] == "Complete"
    assert done["result"]["uri"] == "s3://jobs/model_out/m"
    assert done["report"] == "s3://jobs/jobs/team/digits/model_out/report.html"
    assert done["completionTime"] == "2027-01-15T08:00:15Z"
    gives_up = heard(observed, a_status(RunPhase.FAILED, reason="ModelInvalid"))
    failing = plan(job, gives_up, NOW)
    assert failing.status is not None
    assert condition(failing.status, "Training")["reason"] == "Failing"
    failed = told(job, simulate(gives_up, failing), NOW + 500)
    assert condition(failed, "Training")["reason"] == "Failed"
    assert condition(failed, "WorkersReady")["reason"] == "Finished"


def test_a_result_without_history_has_no_size() -> None:
    job, observed = ready()
    said = a_status(RunPhase.COMPLETE, 5, history=[], result_key="m")
    status = told(job, heard(observed, said))
    assert status["result"] == {"uri": "s3://jobs/m", "sha256": "", "size": 0}


def test_news_are_steps_and_faults_once() -> None:
    job, observed = ready()
    first = told(job, observed)
    kinds = {news.reason for news in changes({}, first)}
    assert {"Accepted", "WorkspaceUploaded", "ImageReady", "ServerReady"} <= kinds
    assert not list(changes(first, first))
    training = told(job, heard(observed, a_status()))
    reasons = [news.reason for news in changes(first, training)]
    assert "WorkersReady" in reasons
    assert "RoundCommitted" in reasons
    broken = told(
        job, with_pod(observed, "digits-server", **waiting("ErrImagePull"), conditions=[])
    )
    (warning,) = [n for n in changes(first, broken) if n.type == "Warning"]
    assert warning.reason == "ImagePullFailed"


def test_a_fault_that_is_true_is_a_warning() -> None:
    job = a_job(workers={"gpu": 1})
    job, observed = ready(job, facts_of(job, gpus=0))
    found = {n.reason: n.type for n in changes({}, told(job, observed))}
    assert found["GpuFallback"] == "Warning"


def test_events_of_the_server_are_forwarded_from_where_one_left_off() -> None:
    events: Any = [
        {"time": 1.0, "reason": "Old", "message": "a"},
        {"time": 2.0, "reason": "New", "message": "b", "type": "Warning"},
    ]
    status = a_status().model_validate({"events": events})
    assert [(t, n.reason, n.type) for t, n in forwarded(status, 1.0)] == [(2.0, "New", "Warning")]


def test_heartbeats_and_sequences_alone_are_not_significant() -> None:
    view = ClientView(name="worker-0", shard="s0.zip", last_heartbeat=NOW)
    silent = ClientView(name="worker-1", shard="s1.zip")

    def at(second: float, **more: Any) -> Any:
        heartbeat = view.model_copy(update={"last_heartbeat": NOW + second})
        return significant(a_status(clients=[heartbeat, silent], **more))

    assert at(1, sequence=4) == at(4, sequence=9)
    assert at(1) != at(6)
    assert at(1) != at(1, completed=3)


def test_a_resource_that_cannot_be_read_says_all_its_faults() -> None:
    job = a_job()
    body = observed_of(job).body
    error = InvalidInputError([Fault("spec.a", "is odd", "drop it"), Fault("spec.b", "too", "so")])
    status = refused_status(body, error, NOW)
    FederatedJobStatus.model_validate(status)
    found = condition(status, "Accepted")
    assert found["reason"] == "SpecInvalid"
    assert "spec.a: is odd; drop it\nspec.b" in found["message"]
    again = refused_status({**body, "status": status}, error, NOW + 50)
    assert again == status

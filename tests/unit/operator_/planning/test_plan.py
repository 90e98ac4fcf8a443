"""The plan is total, pure and idempotent, converges, and changes only owned objects."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fedjob.protocol.server_status import RunPhase
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import Body, owner_uid
from fedjob_operator.planning.desired import key_of
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.observed import Observations, Observed, Stage
from support.operator.runs import (
    all_running,
    condition,
    names,
    settle,
    started,
)
from support.operator.samples import (
    NOW,
    UID,
    a_commit,
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
)


def test_plan_is_idempotent() -> None:
    job = a_job()
    observed = started(job)
    again = plan_for(job, observed, NOW)
    assert not again.changes
    later = plan_for(job, simulate(observed, again), NOW + 100)
    assert not later.changes


def test_plan_does_not_modify_its_input() -> None:
    job = a_job()
    observed = all_running(started(job))
    before = copy.deepcopy(observed)
    plan_for(job, observed, NOW)
    assert observed == before


def test_job_waits_for_the_objects_of_an_earlier_job() -> None:
    job = a_job()
    old = started(job)
    reborn = job.model_copy(update={"metadata": job.metadata.model_copy(update={"uid": "other"})})
    actions = plan_for(reborn, replace(old, observations=Observations()), NOW)
    assert actions == Actions(status=actions.status, again=actions.again)
    assert actions.again is not None
    assert "earlier job" in condition(actions.status, "Accepted")["message"]


def test_suspended_job_loses_its_pods_and_keeps_the_rest() -> None:
    job = a_job()
    paused = a_job(runPolicy={"suspend": True})
    observed = all_running(started(job))
    held = respecified(observed, paused)
    actions = plan_for(paused, held, NOW)
    assert names(actions.delete) == ["digits-server", "digits-worker-0", "digits-worker-1"]
    rest = settle(paused, held)
    assert ("Secret", "digits-kit-server") in rest.children
    assert rest.body["status"]["state"] == "Suspended"
    resumed = plan_for(job, respecified(rest, job, 3), NOW)
    assert names(resumed.create) == ["digits-server-r1", "digits-worker-0-r1", "digits-worker-1-r1"]
    after = settle(job, simulate(respecified(rest, job, 3), resumed))
    assert record_in(after).server.total == 0
    assert condition(after.body["status"], "Suspended")["status"] == "False"


def test_job_created_suspended_starts_nothing() -> None:
    paused = a_job(runPolicy={"suspend": True})
    actions = plan_for(paused, observed_of(paused, Observations()), NOW)
    assert not actions.stages
    assert not actions.create


def test_more_rounds_start_a_complete_job_again() -> None:
    job = a_job()
    done = reporting(all_running(started(job)), complete_status())
    for name in ("digits-server", "digits-worker-0", "digits-worker-1"):
        done = with_pod(done, name, phase="Succeeded")
    done = settle(job, done, NOW + 20)
    more = a_job(federation={"numRounds": 8})
    observed = respecified(done, more)
    first = plan_for(more, observed, NOW + 30)
    assert first.stages == {Stage.INPUTS}
    observed = knowing(observed, prepared=prepared_of(more))
    actions = plan_for(more, observed, NOW + 30)
    assert names(actions.create, "Pod") == ["digits-server-r1"]
    observed = with_pod(simulate(observed, actions), "digits-server-r1", **running())
    observed = reporting(observed, a_status(RunPhase.WAITING, 5), "digits-server-r1")
    workers = plan_for(more, observed, NOW + 60)
    assert names(workers.create, "Pod") == ["digits-worker-0-r1", "digits-worker-1-r1"]


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


SERVER_STATUSES = st.one_of(
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
        observations = self.observed.observations
        pods = {
            name: (body["metadata"].get("deletionTimestamp"), body.get("status"))
            for (kind, name), body in self.observed.children.items()
            if kind == "Pod"
        }
        last = observations.server and observations.server.status
        server_status = [s and (s.phase, s.completed) for s in (last, observations.log_status)]
        return f"{spec} {pods} {server_status} {observations.gpus} {self.now}"


@st.composite
def states(draw: st.DrawFn) -> State:
    """A started job of which anything may have happened since."""
    observed = started(JOBS[0])
    job = draw(st.sampled_from(JOBS))
    children: dict[Any, Body] = {}
    for key, body in observed.children.items():
        fate = draw(st.sampled_from(["kept", "kept", "kept", "gone", "not owned", "leaving"]))
        child = copy.deepcopy(body)
        if fate == "gone":
            continue
        if fate == "not owned" and key[0] != "ConfigMap":
            child["metadata"]["ownerReferences"] = draw(st.sampled_from([None, []]))
        if fate == "leaving":
            child["metadata"]["deletionTimestamp"] = draw(
                st.sampled_from(["2027-01-15T07:59:00Z", "2027-01-15T08:10:00Z", "no time"])
            )
        if key[0] == "Pod":
            child["status"] = draw(POD_STATUS)
        children[key] = child
    observations = draw(
        st.sampled_from(
            [
                observed.observations,
                Observations(),
                observations_of(job),
                observations_of(job, gpus=1),
            ]
        )
    )
    observations = replace(observations, log_status=draw(SERVER_STATUSES))
    observed = respecified(replace(observed, children=children, observations=observations), job)
    server_status = draw(SERVER_STATUSES)
    if server_status is not None and ("Pod", "digits-server") in children:
        observed = reporting(observed, server_status)
    return State(job, observed, NOW + draw(st.sampled_from([0.0, 1.0, 70.0, 4000.0])))


@settings(max_examples=150, deadline=None)
@given(states())
def test_plan_is_total_pure_and_changes_only_owned_objects(
    state: State,
) -> None:
    job, observed, now = state.job, state.observed, state.now
    actions = plan_for(job, observed, now)
    assert actions == plan_for(job, observed, now)
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
def test_plan_converges(state: State) -> None:
    settle(state.job, state.observed, state.now)


def test_server_is_followed_in_every_mode() -> None:
    job = a_job()
    observed = all_running(started(job))
    foreign = copy.deepcopy(observed.children["Service", "digits-server"])
    foreign["metadata"]["name"] = "digits-old"
    foreign["metadata"]["ownerReferences"][0]["uid"] = "earlier"
    waiting = replace(observed, children={**observed.children, key_of(foreign): foreign})
    complete = reporting(observed, complete_status())
    for state in (observed, waiting, complete):
        server = plan_for(job, state, NOW).server
        assert server is not None
        assert server.name == "digits-server"
    paused = a_job(runPolicy={"suspend": True})
    assert plan_for(paused, respecified(observed, paused), NOW).server is None
    ended = with_pod(observed, "digits-server", phase="Succeeded")
    server = plan_for(paused, respecified(ended, paused), NOW).server
    assert server is not None
    assert server.ended

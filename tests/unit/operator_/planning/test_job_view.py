"""The view of a job: what it owns, its pods by slot, and the status that still counts."""

from __future__ import annotations

import copy
from dataclasses import replace

from fedjob.reasons import Reason
from fedjob_operator.planning.job_view import JobView
from fedjob_operator.state.observed import Observed, Problem, Stage
from support.operator.runs import all_running, started
from support.operator.samples import (
    NOW,
    UID,
    a_job,
    a_status,
    observed_of,
    record_in,
    remembering,
    reporting,
    with_pod,
)

JOB = a_job()


def view_of(observed: Observed) -> JobView:
    return JobView.of(JOB, observed, NOW)


def test_view_separates_own_objects_from_those_of_other_owners() -> None:
    observed = started(JOB)
    children = dict(observed.children)
    foreign = copy.deepcopy(children["Service", "digits-server"])
    foreign["metadata"]["ownerReferences"][0]["uid"] = "earlier"
    unowned = copy.deepcopy(children["Secret", "digits-store"])
    unowned["metadata"]["ownerReferences"] = []
    children |= {("Service", "digits-server"): foreign, ("Secret", "digits-store"): unowned}
    view = view_of(replace(observed, children=children))
    assert view.foreign_owners == {"earlier"}
    assert ("Service", "digits-server") not in view.owned
    assert ("Secret", "digits-store") not in view.owned
    assert ("Pod", "digits-server") in view.owned
    assert view.job.metadata.uid == UID


def test_view_reads_record_status_and_generation() -> None:
    observed = started(JOB)
    view = view_of(observed)
    assert view.record == record_in(observed)
    assert view.status == observed.body["status"]
    assert view.generation == 1
    bare = view_of(observed_of(JOB))
    assert (bare.status, bare.pods) == ({}, {})


def test_pods_are_grouped_by_slot() -> None:
    view = view_of(started(JOB))
    assert {name: [pod.name for pod in pods] for name, pods in view.pods.items()} == {
        "server": ["digits-server"],
        "worker-0": ["digits-worker-0"],
        "worker-1": ["digits-worker-1"],
    }
    assert view.pods_of("worker-7") == ()


def test_status_counts_only_while_its_pod_is_the_current_one() -> None:
    observed = reporting(all_running(started(JOB)), a_status())
    assert view_of(observed).server_status() == a_status()
    assert view_of(all_running(started(JOB))).server_status() is None
    assert view_of(with_pod(observed, "digits-server", deleting=NOW)).server_status() is None
    record = record_in(observed)
    later = record.server.model_copy(update={"ordinal": record.server.ordinal + 1})
    superseded = remembering(observed, JOB, record.model_copy(update={"server": later}))
    assert view_of(superseded).server_status() is None


def test_problem_is_added_without_changing_the_view() -> None:
    view = view_of(started(JOB))
    problem = Problem(Reason.ADMISSION_REFUSED, "quota", NOW + 2)
    with_problem = view.with_problem(Stage.APPLY, problem)
    assert with_problem.observations.problems == {Stage.APPLY: problem}
    assert view.observations.problems == {}
    assert with_problem.owned == view.owned


def test_record_is_written_only_where_it_differs() -> None:
    view = view_of(started(JOB))
    assert view.record_body(view.record) is None
    changed = view.record.model_copy(update={"gpus": True})
    body = view.record_body(changed)
    assert body is not None
    assert '"gpus":true' in body["data"]["record.json"]
    assert view_of(observed_of(JOB)).record_body(view.record) is not None

"""One reconcile, with an API server in memory, a set clock and stages that only record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from fedjob.protocol.server_status import RunPhase
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.controller.executor import Executor
from fedjob_operator.controller.observer import Observer
from fedjob_operator.controller.reconciler import Reconciler
from fedjob_operator.controller.status_poller import Target
from fedjob_operator.controller.status_writer import StatusWriter
from fedjob_operator.kube.client import ApiError
from fedjob_operator.kube.event_recorder import EventWriter
from fedjob_operator.naming import Body, Key
from fedjob_operator.planning.preparation import spec_digest
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.observed import Observations, Problem, ServerView, Stage
from fedjob_operator.state.record import Prepared
from support.operator.memory_cluster import MemoryCluster
from support.operator.runs import condition
from support.operator.samples import (
    DEFAULTS,
    NOW,
    UID,
    a_job,
    a_status,
    observations_of,
    prepared_of,
    resource,
    running,
)

KEY: Key = ("team", "digits")
REFUSED = ApiError("POST /pods", 403, "Forbidden", "exceeded quota")


class RecordedStages:
    """In place of the stage runner."""

    def __init__(self) -> None:
        self.started: list[tuple[frozenset[Stage], Prepared | None]] = []
        self.forgotten: list[Key] = []
        self.uploads: list[tuple[bool, bool, bool]] = []

    def start(
        self, key: Key, job: FederatedJob, stages: Iterable[Stage], prepared: Prepared | None
    ) -> None:
        """Records what the plan asks for."""
        self.started.append((frozenset(stages), prepared))

    def note_uploads(
        self, key: Key, job: FederatedJob, *, unfinished: bool, refused: bool, ended: bool
    ) -> None:
        """Records what is known of uploads."""
        self.uploads.append((unfinished, refused, ended))

    def forget(self, key: Key) -> None:
        """Records a job that is gone."""
        self.forgotten.append(key)


class RecordedPoller:
    """In place of the poller of servers."""

    def __init__(self) -> None:
        self.targets: list[Target | None] = []

    def follow(self, key: Key, target: Target | None) -> None:
        """Records which server is followed."""
        self.targets.append(target)


class Bench:
    """A reconciler and everything around it, at a time that a test sets."""

    def __init__(
        self, job: FederatedJob | None = None, observations: Observations | None = None
    ) -> None:
        self.now = NOW
        self.job = job or a_job()
        self.cluster = MemoryCluster(resource(self.job))
        self.cache = Cache(DEFAULTS)
        self.cache.saw_job(self.body)
        for name in ("prepared", "kits", "urls", "gpus"):
            known = observations if observations is not None else observations_of(self.job)
            self.cache.learn(KEY, **{name: getattr(known, name)})
        self.stages, self.poller, self.forgotten = RecordedStages(), RecordedPoller(), []
        cluster: Any = self.cluster
        stages: Any = self.stages
        poller: Any = self.poller
        self.observer = Observer(cluster, self.cache, now=self.time, clock=self.time)
        self.statuses = StatusWriter(cluster, self.cache, EventWriter(cluster), clock=self.time)
        self.reconciler = Reconciler(
            cluster,
            self.cache,
            observer=self.observer,
            executor=Executor(cluster, self.cache, now=self.time),
            preparer=stages,
            poller=poller,
            statuses=self.statuses,
            forget=self.forgotten.append,
            now=self.time,
        )

    def time(self) -> float:
        """The time that the test has set."""
        return self.now

    @property
    def body(self) -> Body:
        """The job as the API server has it."""
        return self.cluster.objects["FederatedJob", "digits"]

    @property
    def status(self) -> Body:
        """The job's status as the API server has it."""
        found: Body = self.body["status"]
        return found

    def reconcile(self) -> float | None:
        """One reconcile."""
        return asyncio.run(self.reconciler(KEY))

    def until_stable(self) -> None:
        """Reconciles until nothing is to be done at once."""
        for _ in range(8):
            if self.reconcile() != 0.0:
                return
        raise AssertionError(f"no end: {self.cluster.calls}")

    def set_pod(self, name: str, **status: Any) -> None:
        """Changes a pod's status, as the kubelet does, and brings the event."""
        body = self.cluster.objects["Pod", name]
        self.cache.saw_child("Pod", self.cluster.put({**body, "status": status}))

    def edit(self, job: FederatedJob) -> None:
        """Applies another spec, and brings the event."""
        body = resource(job, self.body.get("status"))
        self.cache.saw_job(self.cluster.put(body))

    def replace_job(self) -> None:
        """Deletes the job and creates another of its name; both events arrive."""
        self.cache.saw_job(self.body, deleted=True)
        reborn = resource(self.job)
        reborn["metadata"]["uid"] = "reborn"
        self.cache.saw_job(self.cluster.put(reborn))


def test_prepared_job_gets_its_objects_and_its_status() -> None:
    bench = Bench()
    assert bench.reconcile() == 0.0  # look at what was written
    assert bench.cluster.of_kind("Pod") == ["digits-server", "digits-worker-0", "digits-worker-1"]
    assert "digits-record" in bench.cluster.of_kind("ConfigMap")
    assert bench.status["state"] == "Starting"
    calls = bench.cluster.calls
    last_pod = calls.index("create Pod digits-worker-1")
    assert last_pod < calls.index("create ConfigMap digits-record")
    assert calls.index("create ConfigMap digits-record") < calls.index("status FederatedJob digits")


def test_second_reconcile_writes_nothing() -> None:
    bench = Bench()
    bench.until_stable()
    bench.cluster.calls.clear()
    assert bench.reconcile() == pytest.approx(1800)  # until a URL is renewed
    assert bench.cluster.calls == []


def test_children_are_listed_once_a_job() -> None:
    bench = Bench()
    bench.until_stable()
    assert bench.cluster.calls.count("children digits") == 1


def test_stages_get_the_newest_preparation() -> None:
    bench = Bench(observations=Observations())
    bench.reconcile()
    assert bench.stages.started == [(frozenset({Stage.INPUTS}), None)]
    prepared = prepared_of(bench.job).model_copy(update={"workspace": "", "image": None})
    bench.cache.learn(KEY, prepared=prepared)
    bench.reconcile()
    assert bench.stages.started[-1] == (
        {Stage.WORKSPACE, Stage.IMAGE, Stage.KITS, Stage.URLS},
        prepared,
    )


def test_stages_of_a_new_operator_start_from_the_record() -> None:
    bench = Bench()
    bench.until_stable()
    bench.cache.learn(KEY, prepared=None)
    bench.reconcile()
    assert bench.stages.started[-1] == (frozenset(), prepared_of(bench.job))


def test_running_server_is_followed() -> None:
    bench = Bench()
    bench.until_stable()
    assert bench.poller.targets[-1] is None, "its pod has no address yet"
    bench.set_pod("digits-server", **running())
    bench.until_stable()
    uid = bench.cluster.objects["Pod", "digits-server"]["metadata"]["uid"]
    assert bench.poller.targets[-1] == Target(uid=uid, name="digits-server", ip="10.1.2.3")
    bench.set_pod("digits-server", phase="Succeeded", podIP="10.1.2.3")
    bench.until_stable()
    assert bench.poller.targets[-1] is None


@pytest.mark.parametrize("deleting", [True, False])
def test_job_that_is_gone_is_forgotten(*, deleting: bool) -> None:
    bench = Bench()
    bench.until_stable()
    bench.set_pod("digits-server", **running())
    bench.until_stable()
    assert bench.poller.targets[-1] is not None
    bench.cluster.calls.clear()
    if deleting:
        meta = {**bench.body["metadata"], "deletionTimestamp": "2027-01-15T08:00:00Z"}
        bench.cache.saw_job(bench.cluster.put({**bench.body, "metadata": meta}))
    else:
        bench.cache.saw_job(bench.body, deleted=True)
    assert bench.reconcile() is None
    assert bench.cluster.calls == []
    assert bench.stages.forgotten == bench.forgotten == [KEY]
    assert bench.poller.targets[-1] is None
    assert not bench.statuses._written
    assert not bench.observer._overdue


@pytest.mark.parametrize(
    "call",
    ["children digits", "list Node", "create Service digits-server"],
)
def test_job_replaced_meanwhile_is_looked_at_again_at_once(call: str) -> None:
    bench = Bench(a_job(workers={"gpu": 1}))
    bench.cluster.during[call] = bench.replace_job
    assert bench.reconcile() == 0.0
    assert call in bench.cluster.calls
    assert "status FederatedJob digits" not in bench.cluster.calls
    created = [made for made in bench.cluster.calls if made.startswith("create")]
    assert bool(created) is call.startswith("create")


def test_resource_that_cannot_be_parsed_gets_a_status_and_nothing_else() -> None:
    bench = Bench()
    broken = {**bench.body, "spec": {**bench.body["spec"], "federation": {"numRounds": "many"}}}
    bench.cache.saw_job(bench.cluster.put(broken))
    assert bench.reconcile() is None
    assert bench.cluster.calls[:2] == ["children digits", "status FederatedJob digits"]
    assert bench.cluster.of_kind("Pod") == []
    assert condition(bench.status, "Accepted")["reason"] == "SpecInvalid"
    assert not bench.stages.started


def test_resource_that_is_replaced_meanwhile_gets_no_status_of_its_predecessor() -> None:
    bench = Bench()
    broken = {**bench.body, "spec": {**bench.body["spec"], "federation": {"numRounds": "many"}}}
    bench.cache.saw_job(bench.cluster.put(broken))
    bench.cluster.during["children digits"] = bench.replace_job
    assert bench.reconcile() == 0.0
    assert bench.cluster.calls == ["children digits"]


def test_gpus_are_counted_only_for_jobs_that_ask_for_them() -> None:
    node: Body = {"kind": "Node", "metadata": {"name": "n"}}
    node["status"] = {"allocatable": {"nvidia.com/gpu": "2"}}
    bench = Bench()
    bench.reconcile()
    assert "list Node" not in bench.cluster.calls
    bench = Bench(a_job(workers={"gpu": 2}))
    bench.cluster.put(node)
    bench.until_stable()
    assert bench.cache.observations(KEY).gpus == 2
    pod = bench.cluster.objects["Pod", "digits-worker-0"]
    assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert bench.cluster.calls.count("list Node") == 1


def test_refused_write_is_shown_before_the_error_is_raised() -> None:
    bench = Bench()
    bench.cluster.errors["create Pod digits-server"] = REFUSED
    with pytest.raises(ApiError, match="exceeded quota"):
        bench.reconcile()
    found = condition(bench.status, "ServerReady")
    assert found["reason"] == "AdmissionRefused"
    assert found["message"] == "exceeded quota; allow it, and the job continues by itself"
    problem = bench.cache.observations(KEY).problems[Stage.APPLY]
    assert (problem.tries, problem.retry_at) == (1, NOW + 2)
    with pytest.raises(ApiError):
        bench.reconcile()
    problem = bench.cache.observations(KEY).problems[Stage.APPLY]
    assert (problem.tries, problem.retry_at) == (2, NOW + 4)
    assert problem.made_from == spec_digest(bench.job)
    bench.cluster.errors.clear()
    bench.until_stable()
    assert Stage.APPLY not in bench.cache.observations(KEY).problems
    assert condition(bench.status, "ServerReady")["reason"] == "Starting"


def test_refusal_of_a_job_that_is_gone_is_not_shown() -> None:
    bench = Bench()
    bench.cluster.errors["create Service digits-server"] = REFUSED
    bench.cluster.during["create Service digits-server"] = bench.replace_job
    with pytest.raises(ApiError):
        bench.reconcile()
    assert "status FederatedJob digits" not in bench.cluster.calls


def test_unreachable_api_server_is_not_a_refusal() -> None:
    bench = Bench()
    error = ApiError("POST /services", 0, "Unreachable", "no answer")
    bench.cluster.errors["create Service digits-server"] = error
    with pytest.raises(ApiError, match="no answer"):
        bench.reconcile()
    assert Stage.APPLY not in bench.cache.observations(KEY).problems


def test_name_of_another_owner_is_reported_and_tried_again() -> None:
    bench = Bench()
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "digits-server"}}
    bench.cluster.put(foreign)
    assert bench.reconcile() == 0.0
    assert "status" not in bench.body
    bench.until_stable()
    assert bench.status["reason"] == "AdmissionRefused"
    assert "Service digits-server exists and does not belong" in bench.status["message"]
    del bench.cluster.objects["Service", "digits-server"]
    bench.now += 31
    bench.until_stable()
    assert bench.status["state"] == "Starting"


def test_finished_job_is_deleted_after_its_ttl() -> None:
    bench = Bench(a_job(runPolicy={"ttlSecondsAfterFinished": 30, "activeDeadlineSeconds": 50}))
    bench.until_stable()
    bench.now += 51
    bench.cache.set_problem(
        KEY, Stage.LOG, Problem(Reason.STORE_UNREACHABLE, "no answer", NOW, tries=5)
    )
    bench.until_stable()
    assert bench.status["state"] == "Failed"
    bench.now += 31
    assert bench.reconcile() is None
    assert bench.cluster.calls[-1] == "delete FederatedJob digits"


def test_events_of_the_plan_and_of_the_server_are_written_once() -> None:
    bench = Bench()
    bench.until_stable()
    bench.set_pod("digits-server", **running())
    events: Any = [{"time": NOW, "reason": "Slow", "message": "worker-0 is slow"}]
    status = a_status(RunPhase.WAITING, 0, events=events)
    uid = bench.cluster.objects["Pod", "digits-server"]["metadata"]["uid"]
    bench.cache.learn(KEY, server=ServerView(pod=uid, status=status))
    lost = bench.cluster.objects.pop(("Pod", "digits-worker-1"))
    bench.cache.saw_child("Pod", lost, deleted=True)
    bench.until_stable()
    events = [body for (kind, _), body in bench.cluster.objects.items() if kind == "Event"]
    reasons = [event["reason"] for event in events]
    assert reasons.count("Slow") == 1
    assert reasons.count("Recovering") == 1
    bench.reconcile()
    assert sum(event["count"] for event in events if event["reason"] == "Slow") == 1


def test_pod_of_a_changed_spec_is_replaced_and_the_event_names_the_change() -> None:
    bench = Bench()
    bench.until_stable()
    bench.edit(a_job(server={"resources": {"limits": {"memory": "4Gi"}}}))
    bench.until_stable()
    bench.now += 3
    bench.until_stable()
    assert "digits-server-r1" in bench.cluster.of_kind("Pod")
    messages = [
        body["message"]
        for (kind, _), body in bench.cluster.objects.items()
        if kind == "Event" and body["reason"] == "PodReplaced"
    ]
    assert messages == ["digits-server is replaced: spec.server changed"]


def test_conflicting_status_reads_the_job_again() -> None:
    bench = Bench()
    bench.until_stable()
    bench.cluster.put({**bench.body, "metadata": {**bench.body["metadata"], "generation": 2}})
    bench.set_pod("digits-server", **running())
    with pytest.raises(ApiError, match="Conflict"):
        bench.reconcile()
    known = bench.cache.job(KEY)
    assert known is not None
    assert known["metadata"]["generation"] == 2
    assert str(known["metadata"]["uid"]) == UID
    bench.until_stable()
    assert condition(bench.status, "ServerReady")["status"] == "True"


def test_what_a_client_leaves_in_the_store_is_noted_until_the_end() -> None:
    file = {"name": "a.zip", "sha256": "0" * 64, "size": 1}
    shards = {"upload": {"files": [file]}}
    job = a_job(shards=shards, federation={"minClients": 1}, runPolicy={"activeDeadlineSeconds": 5})
    bench = Bench(job, Observations())
    bench.reconcile()
    assert bench.stages.uploads == [(True, False, False)]
    bench.now += 6
    bench.until_stable()
    assert bench.stages.uploads[-1] == (True, False, True)

"""Sample jobs, observations and server statuses, and a cluster that applies plans to them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from fedjob.formats import rfc3339
from fedjob.protocol.commit import Commit, Participant, RoundTimes
from fedjob.protocol.config import StoreLocation
from fedjob.protocol.server_status import ClientState, ClientView, RunPhase, ServerStatus
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import Body, record_name, worker_names
from fedjob_operator.planning.desired import key_of
from fedjob_operator.planning.job_view import JobView
from fedjob_operator.planning.plan import plan
from fedjob_operator.planning.preparation import image_digest, inputs_digest
from fedjob_operator.resources.configmaps import config_map, record_map
from fedjob_operator.resources.network_policies import server_policy, worker_policy
from fedjob_operator.resources.pod_config import PodConfig
from fedjob_operator.resources.pods import PodStart, server_pod, worker_pod
from fedjob_operator.resources.secrets import kit_secret, store_secret, url_secret
from fedjob_operator.resources.services import service
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.observed import (
    ChildKey,
    Defaults,
    Kits,
    Observations,
    Observed,
    ServerView,
    SignedUrl,
)
from fedjob_operator.state.record import Prepared, PreparedImage, Record, ShardPlace, read_record

NOW = 1_800_000_000.0
UID = "uid-of-the-job"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
DEFAULTS = Defaults(bucket="jobs", endpoint="http://store.fedjob-system.svc:8333", keys=KEYS)
STORE = StoreLocation(endpoint="http://store.fedjob-system.svc:8333", bucket="jobs")
IMAGE = "registry:5000/jobs@sha256:" + "a" * 64
_uids = itertools.count()


def a_job(name: str = "digits", **spec: Any) -> FederatedJob:
    """A job of two workers; keyword arguments are sections of its spec, in camelCase."""
    sections: dict[str, Any] = {
        "model": {"source": {"inline": "class Net: ..."}, "className": "Net"},
        "workers": {"gpu": 0},
        **spec,
    }
    meta = {"name": name, "namespace": "team", "uid": UID, "generation": 1}
    return FederatedJob.model_validate({"metadata": meta, "spec": sections})


def a_start(ordinal: int = 0, image: str = "image@sha256:1") -> PodStart:
    """One start of a pod."""
    return PodStart(image=image, ordinal=ordinal, config=PodConfig({"spec": "one"}))


def resource(job: FederatedJob, status: Body | None = None) -> Body:
    """The job as the API server gives it."""
    body = job.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"status"})
    body["metadata"]["resourceVersion"] = "1"
    return {**body, "status": status} if status is not None else body


def prepared_of(job: FederatedJob, workers: int = 2, *, https: bool = False) -> Prepared:
    """The results of all stages."""
    return Prepared(
        made_from=inputs_digest(job),
        num_classes=10,
        workers=[
            ShardPlace(name=f"s{i}.zip", bucket="jobs", key=f"shards/s{i}.zip", https=https)
            for i in range(workers)
        ],
        workspace="c" * 64,
        image=PreparedImage(
            reference=IMAGE,
            digest="sha256:" + "a" * 64,
            cache_hit=False,
            seconds=0.5,
            made_from=image_digest(job),
        ),
    )


def observations_of(job: FederatedJob, workers: int = 2, **more: Any) -> Observations:
    """Observations with which pods can be started."""
    names = worker_names(workers)
    kits = Kits("set-1", {s: {"rootCA.pem": b"x"} for s in ("server", "admin", *names)})
    urls = {
        name: SignedUrl(f"http://store/{i}", f"jobs/shards/s{i}.zip", NOW + 3600, {}, 2)
        for i, name in enumerate(names)
    }
    fields: dict[str, Any] = {"prepared": prepared_of(job, workers), "kits": kits, "urls": urls}
    return Observations(**{**fields, **more})


def observed_of(
    job: FederatedJob, observations: Observations | None = None, **more: Any
) -> Observed:
    """A job without any objects yet."""
    known = observations if observations is not None else observations_of(job)
    return Observed(resource(job), observations=known, **{"defaults": DEFAULTS, **more})


def plan_for(job: FederatedJob, observed: Observed, now: float = NOW) -> Actions:
    """What the operator plans for a job as it is observed."""
    return plan(JobView.of(job, observed, now))


def simulate(observed: Observed, actions: Actions, now: float = NOW) -> Observed:
    """The cluster after the actions: objects as the API server would show them."""
    children: dict[ChildKey, Body] = dict(observed.children)
    for body in actions.delete:
        del children[key_of(body)]
    record = (actions.record,) if actions.record is not None else ()
    for body in (*actions.create, *actions.apply, *record):
        key = key_of(body)
        known = children.get(key, {"metadata": {}})["metadata"]
        made = {
            "uid": known.get("uid", f"uid-{next(_uids)}"),
            "creationTimestamp": known.get("creationTimestamp", rfc3339(now)),
        }
        children[key] = {**body, "metadata": {**body["metadata"], **made}}
    body = dict(observed.body)
    if actions.status is not None:
        body["status"] = actions.status
    return replace(observed, body=body, children=children)


def with_pod(observed: Observed, name: str, **changes: Any) -> Observed:
    """The observed job with a pod's status changed; `deleting` sets its deletionTimestamp."""
    pod = dict(observed.children["Pod", name])
    deleting = changes.pop("deleting", None)
    if deleting is not None:
        pod["metadata"] = {**pod["metadata"], "deletionTimestamp": rfc3339(deleting)}
    pod["status"] = {**pod.get("status", {}), **changes}
    return replace(observed, children={**observed.children, ("Pod", name): pod})


def without(observed: Observed, kind: str, name: str) -> Observed:
    """The observed job without one of its objects."""
    children = {key: body for key, body in observed.children.items() if key != (kind, name)}
    return replace(observed, children=children)


def running(*, ready: bool = True, restarts: int = 0, **state: Any) -> dict[str, Any]:
    """A pod status; `last` is the container's last end."""
    container = {
        "restartCount": restarts,
        "state": state.get("state", {"running": {}}),
        "lastState": {"terminated": state["last"]} if "last" in state else {},
    }
    return {
        "phase": "Running",
        "podIP": "10.1.2.3",
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "containerStatuses": [container],
    }


def a_commit(number: int, attempt: int = 1, **more: Any) -> Commit:
    """A committed round."""
    fields: dict[str, Any] = {
        "round": number,
        "attempt": attempt,
        "sha256": "d" * 64,
        "size": 1234,
        "participants": [Participant(name="worker-0", samples=20)],
        "metrics": {"val_accuracy": 0.5 + number / 100, "loss": 1.0},
        "times": RoundTimes(total=3.0),
        "started": rfc3339(NOW),
        "ended": rfc3339(NOW + number * 3),
    }
    return Commit(**{**fields, **more})


def a_status(phase: RunPhase = RunPhase.TRAINING, completed: int = 2, **more: Any) -> ServerStatus:
    """The status of a server with both workers connected."""
    fields: dict[str, Any] = {
        "attempt": 1,
        "phase": phase,
        "completed": completed,
        "total": 5,
        "current": completed + 1,
        "clients": [
            ClientView(name=f"worker-{i}", shard=f"s{i}.zip", state=ClientState.TRAINING)
            for i in range(2)
        ],
        "history": [a_commit(n) for n in range(1, completed + 1)],
    }
    return ServerStatus(**{**fields, **more})


def complete_status(rounds: int = 5) -> ServerStatus:
    """The last status of a server whose run is complete."""
    return a_status(RunPhase.COMPLETE, rounds, result_key="model_out/m", result_sha256="d" * 64)


def knowing(observed: Observed, **changes: Any) -> Observed:
    """The observed job with other observations."""
    return replace(observed, observations=replace(observed.observations, **changes))


def reporting(observed: Observed, status: ServerStatus, pod: str = "digits-server") -> Observed:
    """The observed job with a status that the server in that pod reported."""
    uid = observed.children["Pod", pod]["metadata"]["uid"]
    return replace(
        observed, observations=replace(observed.observations, server=ServerView(uid, status))
    )


def respecified(observed: Observed, job: FederatedJob, generation: int = 2) -> Observed:
    """The observed job after `kubectl apply` of another spec."""
    body = resource(job, observed.body.get("status"))
    body["metadata"]["generation"] = generation
    return replace(observed, body=body)


def record_in(observed: Observed, name: str = "digits") -> Record:
    """The record of the job."""
    return read_record(observed.children.get(("ConfigMap", record_name(name))))


def remembering(observed: Observed, job: FederatedJob, record: Record) -> Observed:
    """The observed job with this record."""
    body = record_map(job, record)
    return replace(observed, children={**observed.children, key_of(body): body})


def every_child(job: FederatedJob) -> list[Body]:
    """One object of every kind of child."""
    prepared = prepared_of(job)
    signed = SignedUrl("http://u", "jobs/shards/s0.zip", NOW)
    return [
        service(job),
        config_map(job, prepared, STORE, gpus=False),
        record_map(job, Record()),
        kit_secret(job, "worker-0", "set", {"a": b"b"}),
        url_secret(job, "worker-0", signed),
        store_secret(job, KEYS),
        server_policy(job, STORE, DEFAULTS),
        worker_policy(job, STORE, DEFAULTS, https=False),
        server_pod(job, a_start(), DEFAULTS),
        worker_pod(job, "worker-0", a_start(), DEFAULTS, gpus=False),
    ]

"""The status of a job, from what the plan found out. Pure.

Writes are bounded. Conditions and the state are written when they change; rounds, clients and
metrics at most every PROGRESS_SECONDS; heartbeats alone at most every HEARTBEAT_SECONDS, so a job
in which nothing else happens is written at most twelve times a minute, however many workers it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedjob.protocol.server_status import ClientState, ClientView, RunPhase, ServerStatus
from fedjob.spec.models.status import (
    HISTORY_LENGTH,
    ClientsStatus,
    ClientStatus,
    Condition,
    ConditionType,
    FederatedJobStatus,
    ImageStatus,
    JobState,
    ResultStatus,
    RoundRecord,
    RoundsStatus,
    ServerSiteStatus,
)
from fedjob_operator.naming import Body
from fedjob_operator.planning.conditions import conditions, connected
from fedjob_operator.planning.situation import Mode, Situation
from fedjob_operator.planning.store_location import layout_of, location_of
from fedjob_operator.state.record import Failure, Result
from fedjob_operator.times import epoch, rfc3339

HEARTBEAT_SECONDS = 5
PROGRESS_SECONDS = 2.0
_ETA_ROUNDS = 5
_BEST_METRICS = ("val_accuracy", "accuracy", "val_loss", "loss")
_PROGRESS = frozenset({"rounds", "history", "clients", "metric", "metrics", "eta", "retries"})


def build_status(situation: Situation) -> Body:
    """The whole status, as JSON; what is not known now stays as it was told before."""
    found = conditions(situation)
    by_type = {condition.type: condition for condition in found}
    state, reason, message = _summary(situation, by_type)
    status = FederatedJobStatus(
        state=state,
        reason=reason or None,
        message=message or None,
        observed_generation=situation.generation,
        conditions=found,
        server=_server(situation),
        clients=_clients(situation),
        image=_image(situation),
        start_time=_start_time(situation),
        completion_time=_completion_time(situation),
        **_progress(situation),
    )
    return dict(_without_empty(status.model_dump(mode="json", by_alias=True, exclude_none=True)))


def _without_empty(value: Any) -> Any:
    """Without empty maps: a server-side apply turns one that had entries before into null."""
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    if isinstance(value, dict):
        kept = {name: _without_empty(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item != {}}
    return value


def worth_writing(old: Mapping[str, Any], new: Body, since: float) -> float | None:
    """When to write a status: in so many seconds; None where nothing differs.

    Args:
        old: What the API server has.
        new: What should be there.
        since: Seconds since this job's status was last written.
    """
    if dict(old) == new:
        return None
    differs = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    if differs <= {"clients"} and _beats_alone(old, new):
        return max(0.0, HEARTBEAT_SECONDS - since)
    if differs <= _PROGRESS:
        return max(0.0, PROGRESS_SECONDS - since)
    return 0.0


def _beats_alone(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the clients differ in their last heartbeats and in nothing else."""

    def bare(status: Mapping[str, Any]) -> dict[str, Any]:
        clients = status.get("clients") or {}
        workers = [
            {name: value for name, value in worker.items() if name != "lastHeartbeat"}
            for worker in clients.get("list") or []
        ]
        return {**clients, "list": workers}

    return bare(old) == bare(new)


def _summary(situation: Situation, found: Mapping[str, Condition]) -> tuple[JobState, str, str]:
    """The state in one word, and why it is not going on, where it is not."""
    end, mode = situation.end, situation.mode
    if isinstance(end, Result):
        return JobState.COMPLETE, "", ""
    if isinstance(end, Failure):
        state = JobState.FAILING if situation.failing else JobState.FAILED
        return state, end.reason, end.message
    if mode is Mode.SUSPENDED:
        return JobState.SUSPENDED, "", ""
    steps = (
        (ConditionType.ACCEPTED, JobState.PENDING),
        (ConditionType.WORKSPACE_UPLOADED, JobState.UPLOADING),
        (ConditionType.IMAGE_READY, JobState.BUILDING),
        (ConditionType.SERVER_READY, JobState.STARTING),
        (ConditionType.WORKERS_READY, JobState.STARTING),
    )
    under_way = found[ConditionType.TRAINING].status == "True"
    for kind, state in steps:
        condition = found[kind]
        if condition.status == "True" or (under_way and state is JobState.STARTING):
            continue
        recovering = found.get(ConditionType.RECOVERING)
        if state is JobState.STARTING and recovering is not None and recovering.status == "True":
            state = JobState.RECOVERING
        return state, condition.reason, condition.message
    return (JobState.TRAINING if under_way else JobState.STARTING), "", ""


def _progress(situation: Situation) -> dict[str, Any]:
    """Rounds and metrics: what the server said, else what was told before."""
    said, before = situation.said, situation.before
    total = situation.job.spec.federation.num_rounds
    kept = FederatedJobStatus.model_validate(
        {
            name: before[name]
            for name in ("history", "metric", "metrics", "retries", "attempt", "result", "report")
            if name in before
        }
    )
    completed = min(int((before.get("rounds") or {}).get("completed", 0)), total)
    fields: dict[str, Any] = {
        name: getattr(kept, name)
        for name in ("history", "metric", "metrics", "retries", "attempt", "result", "report")
    }
    if said is not None and (said.completed or said.attempt):
        fields |= _told(said, total)
        completed = said.completed
    end = situation.end
    if isinstance(end, Result):
        completed = end.round
        fields |= _result(situation, end)
    fields["rounds"] = RoundsStatus(
        completed=completed, total=total, display=f"{completed}/{total}"
    )
    fields["eta"] = _eta(said, total) if end is None and said is not None else None
    return fields


def _told(said: ServerStatus, total: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"attempt": said.attempt}
    if said.retries:
        fields["retries"] = dict(sorted(said.retries.items())[:32])
    if said.history:
        fields["history"] = [
            RoundRecord(
                round=commit.round,
                clients=len(commit.participants),
                samples=commit.samples,
                metrics=_rounded(commit.metrics),
                seconds=round(commit.times.total, 3),
            )
            for commit in said.history[-HISTORY_LENGTH:]
        ]
        fields["metrics"] = _rounded(said.history[-1].metrics)
        fields["metric"] = _metric(said.history[-1].metrics)
    return fields


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in sorted(metrics.items())[:64]}


def _metric(metrics: Mapping[str, float]) -> str | None:
    """The metric that says most, for the printer column."""
    names = [name for name in (*_BEST_METRICS, *sorted(metrics)) if name in metrics]
    return f"{names[0]} {metrics[names[0]]:.4g}"[:64] if names else None


def _eta(said: ServerStatus, total: int) -> str | None:
    """From the last commit on, at the pace of the last rounds; it changes with commits only."""
    if said.phase is not RunPhase.TRAINING or not said.history or said.completed >= total:
        return None
    last = epoch(said.history[-1].ended)
    paces = [commit.times.total for commit in said.history[-_ETA_ROUNDS:]]
    left = total - said.completed
    return rfc3339(last + left * sum(paces) / len(paces)) if last is not None else None


def _result(situation: Situation, end: Result) -> dict[str, Any]:
    bucket = location_of(situation.job, situation.defaults).bucket
    layout = layout_of(situation.job, situation.defaults)
    return {
        "result": ResultStatus(uri=f"s3://{bucket}/{end.key}", sha256=end.sha256, size=end.size),
        "report": f"s3://{bucket}/{layout.model_out}report.html",
    }


def _image(situation: Situation) -> ImageStatus | None:
    prepared = situation.record.prepared
    if prepared is None or prepared.image is None:
        return None
    image = prepared.image
    return ImageStatus(
        reference=image.reference,
        digest=image.digest,
        cache_hit=image.cache_hit,
        seconds=round(image.seconds, 3),
    )


def _completion_time(situation: Situation) -> str | None:
    end = situation.end
    return rfc3339(end.time) if end is not None and not situation.failing else None


def _start_time(situation: Situation) -> str | None:
    started = situation.record.started
    if started is not None:
        return rfc3339(started)
    return situation.before.get("startTime") if situation.end is not None else None


def _server(situation: Situation) -> ServerSiteStatus | None:
    """As it is remembered: the end of a run does not end the count, a new run begins one."""
    if situation.record.prepared is None:
        return None
    site = situation.record.server
    return ServerSiteStatus(restarts=site.total, restart_causes=site.causes)


def _clients(situation: Situation) -> ClientsStatus | None:
    prepared = situation.record.prepared
    if prepared is None:
        return None
    if situation.end is not None and situation.before.get("clients"):
        # The workers leave at the end; who was there says more.
        return FederatedJobStatus.model_validate({"clients": situation.before["clients"]}).clients
    views = {view.name: view for view in situation.said.clients} if situation.said else {}
    workers = [
        _client(situation, f"worker-{index}", shard.name, views.get(f"worker-{index}"))
        for index, shard in enumerate(prepared.workers)
    ]
    there = len(connected(situation.said))
    count = len(workers)
    return ClientsStatus(
        expected=count, connected=there, display=f"{there}/{count}", workers=workers
    )


def _client(situation: Situation, name: str, shard: str, view: ClientView | None) -> ClientStatus:
    plan = situation.workers.get(name)
    state, message, samples, heard = "Expected", "", 0, None
    pod = plan.pod if plan is not None else None
    if view is not None:
        state, message, samples = str(view.state.value), view.message, view.samples
        if view.last_heartbeat is not None:
            heard = view.last_heartbeat // HEARTBEAT_SECONDS * HEARTBEAT_SECONDS
    if pod is not None and name not in connected(situation.said):
        # Before it has registered, and after it was lost, its pod says more than the server,
        # unless it runs and is not heard.
        silent = view is not None and view.state is ClientState.LOST and pod.phase == "Running"
        state = pod.waiting or (state if silent else pod.phase)
    if plan is not None and plan.site.total > situation.job.spec.workers.max_restarts:
        state = "GivenUp"
    before = (situation.before.get("clients") or {}).get("list") or []
    last = next((b.get("lastHeartbeat") for b in before if b.get("name") == name), None)
    return ClientStatus(
        name=name,
        shard=shard,
        state=state[:32],
        restarts=plan.site.total if plan is not None else 0,
        restart_causes=plan.site.causes if plan is not None else {},
        last_heartbeat=rfc3339(heard) if heard is not None else last,
        samples=samples,
        message=message[:1024],
    )

"""The status of a job, from what the plan decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedjob.errors import InvalidInputError
from fedjob.formats import rfc3339
from fedjob.protocol.server_status import ClientState, ClientView
from fedjob.reasons import Reason
from fedjob.spec.models.status import (
    ClientsStatus,
    ClientStatus,
    Condition,
    ConditionType,
    FederatedJobStatus,
    ImageStatus,
    JobState,
    ServerSiteStatus,
)
from fedjob_operator.naming import Body
from fedjob_operator.planning.completion import exhausted
from fedjob_operator.planning.conditions import LONGEST_MESSAGE, UPLOADING, conditions
from fedjob_operator.planning.pod_trouble import connected
from fedjob_operator.planning.progress import progress
from fedjob_operator.planning.status_inputs import Mode, StatusInputs
from fedjob_operator.planning.status_writes import HEARTBEAT_SECONDS
from fedjob_operator.planning.transfers import transfer_status
from fedjob_operator.state.record import Failure, Result

_STEPS = (
    (ConditionType.ACCEPTED, JobState.PENDING),
    (ConditionType.WORKSPACE_UPLOADED, JobState.UPLOADING),
    (ConditionType.IMAGE_READY, JobState.BUILDING),
    (ConditionType.SERVER_READY, JobState.STARTING),
    (ConditionType.WORKERS_READY, JobState.STARTING),
)
"""Each step with the state of a job whose condition for it is not true yet."""


def build_status(inputs: StatusInputs) -> Body:
    """The whole status, as JSON; fields that are unknown now keep their last values."""
    found = conditions(inputs)
    state, reason, message = _summary(
        inputs, {ConditionType(condition.type): condition for condition in found}
    )
    status = FederatedJobStatus(
        state=state,
        reason=reason or None,
        message=message or None,
        observed_generation=inputs.view.generation,
        conditions=found,
        server=_server(inputs),
        clients=_clients(inputs),
        image=_image(inputs),
        start_time=_start_time(inputs),
        completion_time=_completion_time(inputs),
        transfer=transfer_status(inputs.view),
        **progress(inputs),
    )
    return dict(_without_empty(status.model_dump(mode="json", by_alias=True, exclude_none=True)))


def refused_status(body: Body, error: InvalidInputError, now: float) -> Body:
    """The status of a resource that the API server accepted under an older schema.

    Args:
        body: The resource, which cannot be parsed.
        error: Every fault of it.
        now: Seconds since the epoch.

    Returns:
        The status as it was, with the condition Accepted false.
    """
    before: Body = body.get("status") or {}
    old = {c["type"]: c for c in before.get("conditions") or []}
    last = old.get(ConditionType.ACCEPTED, {})
    unchanged = last.get("status") == "False"
    message = str(error)[:LONGEST_MESSAGE]
    generation = body["metadata"].get("generation")
    condition = Condition(
        type=ConditionType.ACCEPTED,
        status="False",
        reason=Reason.SPEC_INVALID,
        message=message,
        last_transition_time=last["lastTransitionTime"] if unchanged else rfc3339(now),
        observed_generation=generation,
    ).model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        **before,
        "state": JobState.PENDING.value,
        "reason": Reason.SPEC_INVALID.value,
        "message": message,
        "observedGeneration": generation,
        "conditions": list({**old, str(ConditionType.ACCEPTED.value): condition}.values()),
    }


def _without_empty(value: Any) -> Any:
    """Without empty maps: a server-side apply turns a map that becomes empty into null."""
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    if isinstance(value, dict):
        kept = {name: _without_empty(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item != {}}
    return value


def _summary(
    inputs: StatusInputs, found: Mapping[ConditionType, Condition]
) -> tuple[JobState, str, str]:
    """The state, and the reason and message of what holds the job up, where something does."""
    end = inputs.end
    if isinstance(end, Result):
        return JobState.COMPLETE, "", ""
    if isinstance(end, Failure):
        state = JobState.FAILING if inputs.failing else JobState.FAILED
        return state, end.reason, end.message
    if inputs.mode is Mode.SUSPENDED:
        return JobState.SUSPENDED, "", ""
    under_way = found[ConditionType.TRAINING].status == "True"
    for kind, state in _STEPS:
        condition = found[kind]
        if condition.status == "True" or (under_way and state is JobState.STARTING):
            continue
        if condition.reason == UPLOADING:
            state = JobState.UPLOADING
        recovering = found.get(ConditionType.RECOVERING)
        if state is JobState.STARTING and recovering is not None and recovering.status == "True":
            return JobState.RECOVERING, condition.reason, condition.message
        return state, condition.reason, condition.message
    return (JobState.TRAINING if under_way else JobState.STARTING), "", ""


def _image(inputs: StatusInputs) -> ImageStatus | None:
    prepared = inputs.record.prepared
    if prepared is None or prepared.image is None:
        return None
    image = prepared.image
    return ImageStatus(
        reference=image.reference,
        digest=image.digest,
        cache_hit=image.cache_hit,
        seconds=round(image.seconds, 3),
    )


def _completion_time(inputs: StatusInputs) -> str | None:
    end = inputs.end
    return rfc3339(end.time) if end is not None and not inputs.failing else None


def _start_time(inputs: StatusInputs) -> str | None:
    started = inputs.record.started
    if started is not None:
        return rfc3339(started)
    return inputs.view.status.get("startTime") if inputs.end is not None else None


def _server(inputs: StatusInputs) -> ServerSiteStatus | None:
    """From the record: the count outlives the run, and a new run begins another."""
    if inputs.record.prepared is None:
        return None
    slot = inputs.record.server
    return ServerSiteStatus(restarts=slot.total, restart_causes=slot.causes)


def _clients(inputs: StatusInputs) -> ClientsStatus | None:
    prepared, before = inputs.record.prepared, inputs.view.status.get("clients")
    if prepared is None:
        return None
    if inputs.end is not None and before:
        # Workers disconnect at the end; who took part is more useful to show.
        return FederatedJobStatus.model_validate({"clients": before}).clients
    status = inputs.server_status
    views = {view.name: view for view in status.clients} if status is not None else {}
    workers = [
        _client(inputs, f"worker-{index}", shard.name, views.get(f"worker-{index}"))
        for index, shard in enumerate(prepared.workers)
    ]
    there, count = len(connected(status)), len(workers)
    return ClientsStatus(
        expected=count, connected=there, display=f"{there}/{count}", workers=workers
    )


def _client(inputs: StatusInputs, name: str, shard: str, view: ClientView | None) -> ClientStatus:
    plan = inputs.workers.get(name)
    heartbeat: str | None = None
    if view is not None and view.last_heartbeat is not None:
        heartbeat = rfc3339(view.last_heartbeat // HEARTBEAT_SECONDS * HEARTBEAT_SECONDS)
    before = (inputs.view.status.get("clients") or {}).get("list") or []
    last = next((b.get("lastHeartbeat") for b in before if b.get("name") == name), None)
    return ClientStatus(
        name=name,
        shard=shard,
        state=_client_state(inputs, name, view)[:32],
        restarts=plan.slot.total if plan is not None else 0,
        restart_causes=plan.slot.causes if plan is not None else {},
        last_heartbeat=heartbeat or last,
        samples=view.samples if view is not None else 0,
        message=view.message[:1024] if view is not None else "",
    )


def _client_state(inputs: StatusInputs, name: str, view: ClientView | None) -> str:
    """A worker's state: the server's view of it, else the state of its pod."""
    plan = inputs.workers.get(name)
    state = str(view.state.value) if view is not None else "Expected"
    if plan is None:
        return state
    if exhausted(inputs.view.job, {name: plan.slot}):
        return "GivenUp"
    if plan.pod is None or name in connected(inputs.server_status):
        return state
    # Before a worker registers and after it is lost, its pod is more informative than the server,
    # unless the pod runs and is silent.
    lost = view is not None and view.state is ClientState.LOST and plan.pod.phase == "Running"
    return plan.pod.waiting or (state if lost else plan.pod.phase)

"""The conditions of a job, and when each is true.

A condition's lastTransitionTime changes with its status only, as Kubernetes defines it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fedjob.formats import rfc3339
from fedjob.protocol.server_status import RunPhase
from fedjob.reasons import Reason
from fedjob.spec.models.status import Condition, ConditionType
from fedjob_operator.planning.completion import exhausted
from fedjob_operator.planning.pod_trouble import connected, pod_trouble, why_absent, worker_trouble
from fedjob_operator.planning.status_inputs import Mode, StatusInputs
from fedjob_operator.planning.transfers import upload_message, upload_wait
from fedjob_operator.resources.pods import GPU
from fedjob_operator.state.observed import Problem, Stage
from fedjob_operator.state.record import Failure, Result

LONGEST_MESSAGE = 4000
MOST_LINES = 10
"""Workers that one message names."""

_STEPS = frozenset(
    {
        ConditionType.ACCEPTED,
        ConditionType.WORKSPACE_UPLOADED,
        ConditionType.IMAGE_READY,
        ConditionType.SERVER_READY,
        ConditionType.WORKERS_READY,
        ConditionType.TRAINING,
    }
)


UPLOADING = "Uploading"
"""Reason of a job that waits for files of a client."""


@dataclass(frozen=True, slots=True)
class ConditionValue:
    """A condition as it is now, without its times."""

    type: ConditionType
    true: bool
    reason: str
    message: str = ""


def conditions(inputs: StatusInputs) -> list[Condition]:
    """The conditions to write, in the order of the steps.

    Complete, Failed, Suspended, Recovering, GpuFallback and Hints appear when they first are
    true, and then stay.
    """
    before = {c["type"]: c for c in inputs.view.status.get("conditions") or []}
    values = [v for v in _values(inputs) if v.true or v.type in _STEPS or v.type in before]
    return [_dated(inputs, value, before.get(value.type)) for value in values]


def _dated(
    inputs: StatusInputs, value: ConditionValue, old: Mapping[str, object] | None
) -> Condition:
    status = "True" if value.true else "False"
    same = old is not None and old.get("status") == status
    now = rfc3339(inputs.view.now)
    return Condition(
        type=value.type,
        status="True" if value.true else "False",
        reason=value.reason,
        message=value.message[:LONGEST_MESSAGE],
        last_transition_time=str(old["lastTransitionTime"]) if old is not None and same else now,
        observed_generation=inputs.view.generation,
    )


def _values(inputs: StatusInputs) -> Iterator[ConditionValue]:
    yield accepted(inputs)
    yield workspace_uploaded(inputs)
    yield image_ready(inputs)
    yield server_ready(inputs)
    yield workers_ready(inputs)
    yield training(inputs)
    yield from _ends(inputs)
    yield suspended(inputs)
    yield recovering(inputs)
    yield gpu_fallback(inputs)
    yield hints(inputs)


def accepted(inputs: StatusInputs) -> ConditionValue:
    """Whether the resource and everything that it names can be used."""
    kind = ConditionType.ACCEPTED
    problem = inputs.view.observations.problems.get(Stage.INPUTS)
    preparation = inputs.preparation
    if inputs.waits_for:
        return ConditionValue(kind, False, Reason.ADMISSION_REFUSED, inputs.waits_for)
    if inputs.mode is Mode.PREPARING and preparation is not None and not preparation.prepared:
        if upload_wait(inputs.view) is not None:
            problem = inputs.view.observations.problems.get(Stage.UPLOADS)
            if problem is None:
                return ConditionValue(kind, False, UPLOADING, upload_message(inputs.view))
        if problem is not None:
            return ConditionValue(kind, False, problem.reason, problem.message)
        return ConditionValue(kind, False, "Checking", "checking the model file and the shards")
    prepared = inputs.record.prepared
    if prepared is None:
        return ConditionValue(kind, False, "NotChecked", "the job has not been checked yet")
    workers = len(prepared.workers)
    count = f"{workers} worker" + ("" if workers == 1 else "s")
    return ConditionValue(kind, True, "Accepted", f"{count}, {prepared.num_classes} classes")


def workspace_uploaded(inputs: StatusInputs) -> ConditionValue:
    """Whether the job folder is in the store."""
    prepared, kind = inputs.record.prepared, ConditionType.WORKSPACE_UPLOADED
    if prepared is not None and prepared.workspace:
        return ConditionValue(kind, True, "Uploaded", f"checksum {prepared.workspace[:16]}")
    return _pending(kind, "Uploading", inputs.view.observations.problems.get(Stage.WORKSPACE))


def image_ready(inputs: StatusInputs) -> ConditionValue:
    """Whether the job's image is in the registry."""
    prepared, kind = inputs.record.prepared, ConditionType.IMAGE_READY
    problem = inputs.view.observations.problems.get(Stage.IMAGE)
    image = prepared.image if prepared is not None else None
    if image is None or problem is not None:
        return _pending(kind, "Building", problem)
    if image.cache_hit:
        return ConditionValue(kind, True, "CacheHit", "the image was already in the registry")
    return ConditionValue(kind, True, "Built", f"the image was built in {image.seconds:.1f} s")


def _pending(kind: ConditionType, reason: str, problem: Problem | None) -> ConditionValue:
    if problem is None:
        return ConditionValue(kind, False, reason)
    return ConditionValue(kind, False, problem.reason, problem.message)


def server_ready(inputs: StatusInputs) -> ConditionValue:
    """Whether the server's pod answers."""
    kind, problems = ConditionType.SERVER_READY, inputs.view.observations.problems
    blocked = next(
        (p for stage in (Stage.KITS, Stage.APPLY, Stage.LOG) if (p := problems.get(stage))), None
    )
    pod = inputs.server.pod if inputs.server is not None else None
    if inputs.end is not None:
        return ConditionValue(kind, False, "Finished", "the run has ended")
    if pod is not None and pod.ready:
        return ConditionValue(kind, True, "Ready", f"{pod.name} answers")
    if blocked is not None:
        return ConditionValue(kind, False, blocked.reason, blocked.message)
    if pod is None and inputs.mode is Mode.PREPARING:
        return ConditionValue(kind, False, "Preparing", "creating Secrets and ConfigMaps")
    if pod is None:
        return ConditionValue(kind, False, "NotStarted", why_absent(inputs.server, "the server"))
    reason, message = pod_trouble(pod)
    if reason:
        return ConditionValue(kind, False, reason, message)
    if pod.exit_code:
        message = (
            f"{pod.name} ended with exit code {pod.exit_code}; restarting: "
            f"{pod.last_message or 'it left no message'}; read its log"
        )
        return ConditionValue(kind, False, Reason.SERVER_CRASHED, message)
    return ConditionValue(kind, False, "Starting", f"{pod.name} is {pod.phase}")


def workers_ready(inputs: StatusInputs) -> ConditionValue:
    """Whether every worker is connected to the server."""
    kind = ConditionType.WORKERS_READY
    if inputs.end is not None:
        return ConditionValue(kind, False, "Finished", "the run has ended")
    problem = inputs.view.observations.problems.get(Stage.URLS)
    if problem is not None:
        return ConditionValue(kind, False, problem.reason, problem.message)
    count = len(inputs.workers)
    if not count:
        return ConditionValue(kind, False, "NotStarted", "no worker has been started")
    there = connected(inputs.server_status)
    missing = [name for name in inputs.workers if name not in there]
    if not missing:
        return ConditionValue(kind, True, "AllConnected", f"all {count} workers are connected")
    summary = f"{count - len(missing)} of {count} workers are connected"
    reason, lines = "WaitingForWorkers", []
    for name in missing[:MOST_LINES]:
        why, message = worker_trouble(inputs, name)
        reason = why if why and reason == "WaitingForWorkers" else reason
        lines.append(f"{name}: {message}")
    return ConditionValue(kind, False, reason, "\n".join([summary, *lines]))


def training(inputs: StatusInputs) -> ConditionValue:
    """Whether rounds are under way."""
    kind, status = ConditionType.TRAINING, inputs.server_status
    if isinstance(inputs.end, Result):
        early = inputs.end.stopped is not None
        message = "the run has stopped early" if early else "all rounds are committed"
        return ConditionValue(kind, False, "Complete", message)
    if isinstance(inputs.end, Failure):
        if inputs.failing:
            message = "the run has failed; stopping its server and reading the log of rounds"
            return ConditionValue(kind, False, "Failing", message)
        return ConditionValue(kind, False, "Failed", "the run has failed")
    if inputs.mode is Mode.SUSPENDED:
        return ConditionValue(kind, False, "Suspended")
    if inputs.mode is not Mode.RUNNING or status is None:
        return ConditionValue(kind, False, "NotStarted")
    pod = inputs.server.pod if inputs.server is not None else None
    if pod is None or not pod.ready:
        return ConditionValue(kind, False, "ServerNotReady", "the server does not answer")
    if status.phase in (RunPhase.TRAINING, RunPhase.FINISHING):
        total = inputs.view.job.spec.federation.num_rounds
        number = min(status.current or status.completed + 1, total)
        return ConditionValue(kind, True, str(status.phase.value), f"round {number} of {total}")
    return ConditionValue(kind, False, str(status.phase.value), status.message)


def _ends(inputs: StatusInputs) -> Iterator[ConditionValue]:
    end, complete, failed = inputs.end, ConditionType.COMPLETE, ConditionType.FAILED
    if isinstance(end, Result):
        message = f"{end.round} rounds are committed"
        if end.stopped is not None:
            message = (
                f"{end.round} of {end.stopped} rounds are committed: federation.stopWhen was met"
            )
        yield ConditionValue(complete, True, "Complete", message)
    else:
        yield ConditionValue(complete, False, "NotComplete")
    if isinstance(end, Failure) and not inputs.failing:
        yield ConditionValue(failed, True, end.reason, end.message)
    else:
        yield ConditionValue(failed, False, "NotFailed")


def suspended(inputs: StatusInputs) -> ConditionValue:
    """Whether the user has suspended the job."""
    kind = ConditionType.SUSPENDED
    if inputs.mode is not Mode.SUSPENDED:
        return ConditionValue(kind, False, "NotSuspended")
    message = "spec.runPolicy.suspend is true; set it to false to continue from the last round"
    return ConditionValue(kind, True, "Suspended", message)


def recovering(inputs: StatusInputs) -> ConditionValue:
    """Whether the server or a worker is being replaced or restarted, and which."""
    kind, lines = ConditionType.RECOVERING, []
    if inputs.mode is Mode.RUNNING:
        slot, server = inputs.record.server, inputs.server
        if slot.restarted and (server is None or server.pod is None or not server.pod.ready):
            lines.append(f"the server is restarting (restart {slot.total})")
        there = connected(inputs.server_status)
        for name, plan in inputs.workers.items():
            gone = exhausted(inputs.view.job, {name: plan.slot})
            if plan.slot.restarted and name not in there and not gone:
                lines.append(f"{name} is restarting (restart {plan.slot.total})")
    if not lines:
        return ConditionValue(kind, False, "NotRecovering")
    return ConditionValue(kind, True, "Recovering", "\n".join(lines[:MOST_LINES]))


def gpu_fallback(inputs: StatusInputs) -> ConditionValue:
    """Whether the workers train on CPUs because no node offers the GPUs."""
    kind, wanted = ConditionType.GPU_FALLBACK, inputs.view.job.spec.workers.gpu
    if inputs.record.gpus is not False or not wanted:
        return ConditionValue(kind, False, "NoFallback")
    message = (
        f"no node offers {wanted} GPU{'s' if wanted > 1 else ''} ({GPU}), so the workers train on "
        f"CPUs; set spec.workers.gpuFallback: wait to wait for GPUs instead"
    )
    return ConditionValue(kind, True, Reason.GPU_FALLBACK, message)


def hints(inputs: StatusInputs) -> ConditionValue:
    """Whether the inputs look mistaken in a way that does not stop the job."""
    kind, prepared = ConditionType.HINTS, inputs.record.prepared
    if prepared is None or not prepared.hints:
        return ConditionValue(kind, False, "NoHints")
    return ConditionValue(kind, True, Reason.PROBABLE_MISTAKE, "\n".join(prepared.hints))

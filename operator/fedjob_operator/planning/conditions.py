"""The conditions of a job: each step, and what stands beside them. Pure.

A condition's lastTransitionTime changes with its status only, as Kubernetes asks of all conditions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fedjob.protocol.server_status import ClientState, RunPhase, ServerStatus
from fedjob.reasons import Reason
from fedjob.spec.models.status import Condition, ConditionType
from fedjob_operator.planning.pod_lifecycle import EXIT_TERMINAL, SlotPlan
from fedjob_operator.planning.situation import Mode, Situation
from fedjob_operator.resources.pods import GPU
from fedjob_operator.state.observed import Problem, Stage
from fedjob_operator.state.pod_status import PodView, left_words
from fedjob_operator.state.record import Failure, Result
from fedjob_operator.times import rfc3339

LONGEST_MESSAGE = 4000
CONNECTED = (ClientState.CONNECTED, ClientState.TRAINING, ClientState.ANSWERED)


@dataclass(frozen=True, slots=True)
class ConditionValue:
    """A condition as it is now, without its times."""

    type: ConditionType
    true: bool
    reason: str
    message: str = ""


def conditions(situation: Situation) -> list[Condition]:
    """The conditions to write, in the order of the steps.

    Failed, Complete, Suspended, Recovering and GpuFallback appear when they first are true, and
    stay.
    """
    before = {c["type"]: c for c in situation.before.get("conditions") or []}
    found = [f for f in _all(situation) if f.true or f.type in _STEPS or f.type in before]
    return [_dated(situation, condition, before.get(condition.type)) for condition in found]


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


def _dated(
    situation: Situation, found: ConditionValue, old: Mapping[str, object] | None
) -> Condition:
    status = "True" if found.true else "False"
    same = old is not None and old.get("status") == status
    then = str(old["lastTransitionTime"]) if old is not None and same else rfc3339(situation.now)
    return Condition(
        type=found.type,
        status="True" if found.true else "False",
        reason=found.reason,
        message=found.message[:LONGEST_MESSAGE],
        last_transition_time=then,
        observed_generation=situation.generation,
    )


def _all(situation: Situation) -> Iterator[ConditionValue]:
    yield accepted(situation)
    yield from _prepared(situation)
    yield server_ready(situation)
    yield workers_ready(situation)
    yield training(situation)
    end = situation.end
    complete, failed = ConditionType.COMPLETE, ConditionType.FAILED
    rounds = f"{end.round} rounds are committed" if isinstance(end, Result) else ""
    yield ConditionValue(
        complete, isinstance(end, Result), "Complete" if rounds else "NotComplete", rounds
    )
    if isinstance(end, Failure) and not situation.failing:
        yield ConditionValue(failed, True, end.reason, end.message)
    else:
        yield ConditionValue(failed, False, "NotFailed")
    suspended = situation.mode is Mode.SUSPENDED
    words = "spec.runPolicy.suspend is true; false goes on from the last round" if suspended else ""
    yield ConditionValue(
        ConditionType.SUSPENDED, suspended, "Suspended" if suspended else "NotSuspended", words
    )
    why = recovering(situation)
    yield ConditionValue(
        ConditionType.RECOVERING, bool(why), "Recovering" if why else "NotRecovering", why
    )
    yield _fallback(situation)


def accepted(situation: Situation) -> ConditionValue:
    """Whether the resource and all that it names can be used."""
    kind = ConditionType.ACCEPTED
    problem = situation.problems.get(Stage.INPUTS)
    preparation = situation.preparation
    if situation.waits_for:
        return ConditionValue(kind, False, Reason.ADMISSION_REFUSED, situation.waits_for)
    if situation.mode is Mode.PREPARING and preparation is not None and not preparation.prepared:
        if problem is not None:
            return ConditionValue(kind, False, problem.reason, problem.message)
        return ConditionValue(
            kind, False, "Checking", "the model file and the shards are being checked"
        )
    prepared = situation.record.prepared
    if prepared is None:
        return ConditionValue(kind, False, "NotChecked", "the job has not been looked at yet")
    workers = len(prepared.workers)
    count = f"{workers} worker" + ("" if workers == 1 else "s")
    return ConditionValue(kind, True, "Accepted", f"{count}, {prepared.num_classes} classes")


def _prepared(situation: Situation) -> Iterator[ConditionValue]:
    prepared = situation.record.prepared
    problems = situation.problems
    uploaded, ready = ConditionType.WORKSPACE_UPLOADED, ConditionType.IMAGE_READY
    if prepared is not None and prepared.workspace:
        yield ConditionValue(uploaded, True, "Uploaded", f"checksum {prepared.workspace[:16]}")
    else:
        yield _pending(uploaded, "Uploading", problems.get(Stage.WORKSPACE))
    image = prepared.image if prepared is not None else None
    if image is not None and Stage.IMAGE not in problems:
        how = "was there already" if image.cache_hit else f"was built in {image.seconds:.1f} s"
        yield ConditionValue(
            ready, True, "CacheHit" if image.cache_hit else "Built", f"the image {how}"
        )
    else:
        yield _pending(ready, "Building", problems.get(Stage.IMAGE))


def _pending(kind: ConditionType, reason: str, problem: Problem | None) -> ConditionValue:
    if problem is None:
        return ConditionValue(kind, False, reason)
    return ConditionValue(kind, False, problem.reason, problem.message)


def server_ready(situation: Situation) -> ConditionValue:
    """Whether the server's pod answers."""
    kind = ConditionType.SERVER_READY
    blocked = next(
        (p for s in (Stage.KITS, Stage.APPLY, Stage.LOG) if (p := situation.problems.get(s))), None
    )
    pod = situation.server.pod if situation.server is not None else None
    if situation.end is not None:
        return ConditionValue(kind, False, "Finished", "the run is over")
    if pod is not None and pod.ready:
        return ConditionValue(kind, True, "Ready", f"{pod.name} answers")
    if blocked is not None:
        return ConditionValue(kind, False, blocked.reason, blocked.message)
    if pod is None and situation.mode is Mode.PREPARING:
        return ConditionValue(kind, False, "Preparing", "what its pods mount is being made")
    if pod is None:
        return ConditionValue(
            kind, False, "NotStarted", _why_absent(situation.server, "the server")
        )
    reason, message = pod_trouble(pod)
    if reason:
        return ConditionValue(kind, False, reason, message)
    if pod.exit_code:
        return ConditionValue(
            kind,
            False,
            Reason.SERVER_CRASHED,
            f"{pod.name} ended with exit code {pod.exit_code} and is started anew: "
            f"{pod.last_words or 'it said nothing'}; read its log",
        )
    return ConditionValue(kind, False, "Starting", f"{pod.name} is {pod.phase}")


def workers_ready(situation: Situation) -> ConditionValue:
    """Whether every worker is connected to the server."""
    kind = ConditionType.WORKERS_READY
    if situation.end is not None:
        return ConditionValue(kind, False, "Finished", "the run is over")
    problem = situation.problems.get(Stage.URLS)
    if problem is not None:
        return ConditionValue(kind, False, problem.reason, problem.message)
    count = len(situation.workers)
    if not count:
        return ConditionValue(kind, False, "NotStarted", "no worker has been started")
    there = connected(situation.said)
    missing = [name for name in situation.workers if name not in there]
    if not missing:
        return ConditionValue(kind, True, "AllConnected", f"all {count} workers are connected")
    summary = f"{count - len(missing)} of {count} workers are connected"
    reason, lines = "WaitingForWorkers", []
    for name in missing[:10]:
        why, message = worker_trouble(situation, name)
        reason = why if why and reason == "WaitingForWorkers" else reason
        lines.append(f"{name}: {message}")
    return ConditionValue(kind, False, reason, "\n".join([summary, *lines]))


def connected(said: ServerStatus | None) -> set[str]:
    """The workers that the server counts as there."""
    return {c.name for c in said.clients if c.state in CONNECTED} if said is not None else set()


def silent(said: ServerStatus | None) -> set[str]:
    """The workers that were there and are not heard any more."""
    clients = said.clients if said is not None else []
    return {c.name for c in clients if c.state is ClientState.LOST}


def worker_trouble(situation: Situation, name: str) -> tuple[str, str]:
    """A reason, empty where there is no trouble, and what the worker is doing."""
    plan = situation.workers[name]
    most = situation.job.spec.workers.max_restarts
    if plan.site.total > most:
        return (
            Reason.WORKER_EXITED,
            f"failed {plan.site.total} times, and spec.workers.maxRestarts is {most}: the run goes "
            f"on without it; read its log, and raise maxRestarts to try it again",
        )
    pod = plan.pod
    if pod is None:
        return "", _why_absent(plan, "its pod")
    reason, message = pod_trouble(pod)
    if reason:
        return reason, message
    if pod.phase == "Succeeded":
        return "", "has ended"
    if pod.exit_code == EXIT_TERMINAL:
        why = str((left_words(pod) or {}).get("reason") or Reason.DATASET_INVALID)
        what, fix = "shard", "mend the shard in the store"
        if why == Reason.KIT_INVALID:
            what, fix = "startup kit", "mend the Secret that holds it"
        said = pod.last_words or "see its log"
        return why, f"cannot use its {what}: {said}; {fix}, and it goes on by itself"
    if pod.exit_code:
        return (
            Reason.WORKER_EXITED,
            f"ended with exit code {pod.exit_code} and is started anew (restart {plan.site.total} "
            f"of {most}): {pod.last_words or 'see its log'}",
        )
    if name in silent(situation.said):
        patience = situation.job.spec.federation.heart_beat_timeout
        return (
            Reason.WORKER_LOST,
            f"{pod.name} runs, and the server has lost it (it drops a worker that is silent for "
            f"heartBeatTimeout, {patience} s): it is taken back when it answers",
        )
    return "", f"{pod.name} is {pod.phase}"


def pod_trouble(pod: PodView) -> tuple[str, str]:
    """Why a pod does not start: a reason of the catalogue and a message, or two empty texts."""
    if pod.gated:
        fix = "`kubectl get workloads` shows where it is in the queue, and why"
        return Reason.QUEUED, f"{pod.name} waits to be admitted by Kueue; {fix}"
    if pod.unschedulable:
        if GPU in pod.unschedulable:
            fix = "free GPUs or add nodes, or write spec.workers.gpuFallback: cpu"
            return Reason.GPU_UNAVAILABLE, f"{pod.name} waits for a GPU: {pod.unschedulable}; {fix}"
        fix = "lower resources.requests, or correct nodeSelector and tolerations"
        return Reason.UNSCHEDULABLE, f"{pod.name}: {pod.unschedulable}; {fix}"
    if pod.pull_trouble:
        fix = "check that the nodes reach the registry, and spec.image.pullSecrets"
        return Reason.IMAGE_PULL_FAILED, f"{pod.name}: {pod.waiting_message or pod.waiting}; {fix}"
    if pod.start_trouble:
        fix = "make what is named there, in the job's namespace"
        return Reason.ADMISSION_REFUSED, f"{pod.name}: {pod.waiting_message or pod.waiting}; {fix}"
    return "", ""


def _why_absent(plan: SlotPlan | None, what: str) -> str:
    if plan is not None and plan.create is not None:
        return f"{what} is being started"
    if plan is not None and plan.again is not None:
        return f"{what} is started in {plan.again:.0f} s at most"
    return f"{what} is not there"


def training(situation: Situation) -> ConditionValue:
    """Whether rounds are under way."""
    kind, said = ConditionType.TRAINING, situation.said
    if isinstance(situation.end, Result):
        return ConditionValue(kind, False, "Complete", "all rounds are committed")
    if isinstance(situation.end, Failure):
        if situation.failing:
            words = "the run has failed; its server is stopped, and the log of its rounds is read"
            return ConditionValue(kind, False, "Failing", words)
        return ConditionValue(kind, False, "Failed", "the run has failed")
    if situation.mode is Mode.SUSPENDED:
        return ConditionValue(kind, False, "Suspended")
    if situation.mode is not Mode.RUNNING or said is None:
        return ConditionValue(kind, False, "NotStarted")
    pod = situation.server.pod if situation.server is not None else None
    if pod is None or not pod.ready:
        return ConditionValue(kind, False, "ServerNotReady", "the server does not answer")
    if said.phase in (RunPhase.TRAINING, RunPhase.FINISHING):
        total = situation.job.spec.federation.num_rounds
        number = min(said.current or said.completed + 1, total)
        return ConditionValue(kind, True, str(said.phase.value), f"round {number} of {total}")
    return ConditionValue(kind, False, str(said.phase.value), said.message)


def recovering(situation: Situation) -> str:
    """What is being made good, once the run had begun; empty when nothing is."""
    if situation.mode is not Mode.RUNNING:
        return ""
    record, said = situation.record, situation.said
    lines = []
    server = situation.server
    if record.server.hurt and (server is None or server.pod is None or not server.pod.ready):
        lines.append(f"the server is started anew (restart {record.server.total})")
    there = connected(said)
    for name, plan in situation.workers.items():
        given_up = plan.site.total > situation.job.spec.workers.max_restarts
        if plan.site.hurt and name not in there and not given_up:
            lines.append(f"{name} is started anew (restart {plan.site.total})")
    return "\n".join(lines[:10])


def _fallback(situation: Situation) -> ConditionValue:
    kind, record = ConditionType.GPU_FALLBACK, situation.record
    wanted = situation.job.spec.workers.gpu
    if record.gpus is False and wanted:
        return ConditionValue(
            kind,
            True,
            Reason.GPU_FALLBACK,
            f"no node offers {wanted} GPU{'s' if wanted > 1 else ''} ({GPU}), so the workers train "
            f"on CPUs; write spec.workers.gpuFallback: wait to wait for GPUs instead",
        )
    return ConditionValue(kind, False, "NoFallback")

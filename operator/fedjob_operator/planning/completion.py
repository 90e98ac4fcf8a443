"""Whether the run has ended, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedjob.formats import epoch
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.protocol.standing import is_over, stopped_at
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob.version import __version__
from fedjob_operator.planning.preparation import spec_digest
from fedjob_operator.state.pod_status import PodView, termination_message
from fedjob_operator.state.record import Failure, PodSlot, Record, Result

RESTARTABLE = frozenset({Reason.FENCED, Reason.INTERRUPTED, Reason.STORE_UNREACHABLE})
"""Failures of one server start, not of the run: the next start continues it."""
LONGEST_MESSAGE = 4000
_NOT_FOUND = 127
"""Exit code of tini where it finds no program, which it names in its message."""
_NO_AGENT = "exec fedjob-server-agent failed"

End = Failure | Result


@dataclass(frozen=True, slots=True, kw_only=True)
class EndInputs:
    """Inputs for deciding whether the run has ended.

    Attributes:
        record: The record as the plan has changed it so far.
        server: The current server pod, or the one that was lost just now.
        server_status: The last status of that pod's server.
        log_status: The status of the log of rounds, where it was read.
        workers: The current pod of each worker; None where it has none.
        worker_slots: Each worker's slot, this moment included.
        server_slot: The server's slot, this moment included.
    """

    record: Record
    server: PodView | None
    server_status: ServerStatus | None
    log_status: ServerStatus | None
    workers: Mapping[str, PodView | None]
    worker_slots: Mapping[str, PodSlot]
    server_slot: PodSlot


def known_end(job: FederatedJob, record: Record) -> End | None:
    """The recorded end, while it still holds: the spec may ask for more by now."""
    result, failure = record.result, record.failure
    if result is not None and result.reached >= job.spec.federation.num_rounds:
        return result
    if failure is not None and failure.spec == spec_digest(job):
        return failure
    return None


def found_end(job: FederatedJob, inputs: EndInputs, now: float) -> End | None:
    """The end, if the run has ended just now."""
    result = result_of(job, inputs.server_status, now) or result_of(job, inputs.log_status, now)
    if result is not None:
        return result
    found = (
        _server_failed(inputs)
        or _without_agent(inputs)
        or _out_of_memory(job, inputs)
        or _limits(job, inputs, now)
    )
    if found is None:
        return None
    reason, message = found
    return Failure(
        reason=reason, message=message[:LONGEST_MESSAGE], spec=spec_digest(job), time=int(now)
    )


def settled(job: FederatedJob, failure: Failure, log_status: ServerStatus, now: float) -> End:
    """What a failure turns out to be once no server runs and the log of rounds has been read.

    A stopping server commits the round that is offered to it. If that was the last round, the run
    is complete, whatever else failed meanwhile.
    """
    return result_of(job, log_status, now) or failure.model_copy(update={"settled": True})


def result_of(job: FederatedJob, status: ServerStatus | None, now: float) -> Result | None:
    """The result of a complete run, where the status of a server or of the log shows one."""
    if status is None or status.phase is not RunPhase.COMPLETE or not status.result_key:
        return None
    if not has_all_rounds(job, status):
        return None
    last = status.history[-1] if status.history else None
    return Result(
        round=status.completed,
        key=status.result_key,
        sha256=status.result_sha256 or "",
        size=last.size if last is not None else 0,
        time=(epoch(last.ended) if last is not None else None) or int(now),
        stopped=stopped_at(last) if last is not None else None,
    )


def has_all_rounds(job: FederatedJob, status: ServerStatus) -> bool:
    """Whether every round is committed, or the last one has ended the run early."""
    total = job.spec.federation.num_rounds
    early = bool(status.history) and is_over(status.history[-1], total)
    return early or status.completed >= total


def exhausted(job: FederatedJob, slots: Mapping[str, PodSlot]) -> list[str]:
    """Workers that have been restarted more often than the job allows."""
    most = job.spec.workers.max_restarts
    return sorted(name for name, slot in slots.items() if slot.total > most)


def _server_failed(inputs: EndInputs) -> tuple[str, str] | None:
    status = inputs.server_status
    if status is not None and status.phase is RunPhase.FAILED and status.reason not in RESTARTABLE:
        return status.reason or Reason.SERVER_CRASHED, status.message
    left = termination_message(inputs.server) if inputs.server is not None else None
    if left is not None and left["phase"] == RunPhase.FAILED:
        reason = str(left.get("reason") or Reason.SERVER_CRASHED)
        if reason not in RESTARTABLE:
            return reason, str(left.get("message") or "")
    return None


def _without_agent(inputs: EndInputs) -> tuple[str, str] | None:
    """An image of release 0.1, which lacks the program of the federation's container.

    The image is pinned, so no restart helps. The author's code can write such a message as well,
    and then ends its own run only.
    """
    server = inputs.server
    if server is None or server.exit_code != _NOT_FOUND or _NO_AGENT not in server.message:
        return None
    return (
        Reason.VERSION_MISMATCH,
        f"{server.name}: the job's image was built on a fedjob older than 0.2.0, which has no "
        f"fedjob-server-agent, and the operator's fedjob is {__version__}; delete the job and "
        f"submit it again under the same name: it gets a new image, and continues after the last "
        f"committed round (build spec.image.base, if set, on the operator's runtime image first)",
    )


def _out_of_memory(job: FederatedJob, inputs: EndInputs) -> tuple[str, str] | None:
    spec = job.spec
    if inputs.server is not None and inputs.server.oom:
        limit = _memory_limit(spec.server.resources.limits)
        return (
            Reason.OUT_OF_MEMORY,
            f"{inputs.server.name} was OOM-killed{limit}; raise "
            f"spec.server.resources.limits.memory: the run then continues from the last round",
        )
    for name, pod in sorted(inputs.workers.items()):
        if pod is not None and pod.oom:
            limit = _memory_limit(spec.workers.resources.limits)
            return (
                Reason.OUT_OF_MEMORY,
                f"{name} was OOM-killed{limit} with batch_size {spec.training.batch_size}; "
                f"reduce batch_size (spec.training.batchSize, in a new job), or raise "
                f"spec.workers.resources.limits.memory: the run then continues from the last round",
            )
    return None


def _memory_limit(limits: object) -> str:
    memory = getattr(limits, "memory", None)
    return f" (its limit is {memory})" if memory else ""


def _limits(job: FederatedJob, inputs: EndInputs, now: float) -> tuple[str, str] | None:
    policy, started = job.spec.run_policy, inputs.record.started
    deadline = policy.active_deadline_seconds
    if deadline is not None and started is not None and now >= started + deadline:
        return (
            Reason.DEADLINE_EXCEEDED,
            f"the job ran longer than spec.runPolicy.activeDeadlineSeconds ({deadline} s); raise "
            f"it: the run then continues from the last round",
        )
    starts = inputs.server_slot.total - inputs.server_slot.at_commit
    if starts > policy.backoff_limit:
        message = inputs.server.last_message if inputs.server is not None else ""
        last = f"; its last message: {message}" if message else ""
        return (
            Reason.BACKOFF_LIMIT_EXCEEDED,
            f"the server was restarted {starts} times without a committed round in between, and "
            f"spec.runPolicy.backoffLimit is {policy.backoff_limit}{last}; read its log, and "
            f"raise the limit to continue",
        )
    gone = exhausted(job, inputs.worker_slots)
    left = len(inputs.worker_slots) - len(gone)
    if inputs.worker_slots and left < job.spec.federation.min_clients:
        return (
            Reason.TOO_FEW_WORKERS,
            f"{left} of {len(inputs.worker_slots)} workers are left, and minClients is "
            f"{job.spec.federation.min_clients}; {', '.join(gone)} failed more often than "
            f"spec.workers.maxRestarts ({job.spec.workers.max_restarts}) allows: read their logs, "
            f"and raise it to continue",
        )
    return None

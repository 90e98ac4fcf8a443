"""Whether the run is over, and how. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.planning.preparation import spec_digest
from fedjob_operator.state.pod_status import PodView, left_words
from fedjob_operator.state.record import Failure, PodSlot, Record, Result
from fedjob_operator.times import epoch

PASSING = frozenset({Reason.FENCED, Reason.INTERRUPTED, Reason.STORE_UNREACHABLE})
"""Failures of one server start, not of the run: the next start goes on."""

End = Failure | Result


@dataclass(frozen=True, slots=True)
class EndInputs:
    """What there is to judge.

    Attributes:
        record: What is remembered.
        server: The current server pod, or the one that was given up just now.
        said: What that pod's server said last.
        stored: What the log of rounds says, where it was read.
        workers: The current pod of each worker, if there is one.
        sites: What is remembered of each worker, this moment included.
        server_site: The same of the server.
    """

    record: Record
    server: PodView | None
    said: ServerStatus | None
    stored: ServerStatus | None
    workers: Mapping[str, PodView | None]
    sites: Mapping[str, PodSlot]
    server_site: PodSlot


def known_end(job: FederatedJob, record: Record) -> End | None:
    """The end that was found before, while it still holds: the spec may ask for more by now."""
    result, failure = record.result, record.failure
    if result is not None and result.round >= job.spec.federation.num_rounds:
        return result
    if failure is not None and failure.spec == spec_digest(job):
        return failure
    return None


def found_end(job: FederatedJob, seen: EndInputs, now: float) -> End | None:
    """The end, if the run has come to one just now."""
    result = result_of(job, seen.said, now) or result_of(job, seen.stored, now)
    if result is not None:
        return result
    found = _server_failed(seen) or _out_of_memory(job, seen) or _limits(job, seen, now)
    if found is None:
        return None
    reason, message = found
    return Failure(reason=reason, message=message[:4000], spec=spec_digest(job), time=int(now))


def settled(job: FederatedJob, failure: Failure, stored: ServerStatus, now: float) -> End:
    """What a failure turns out to be once nothing runs any more, and the log has been read.

    A server that is stopped commits the round that is offered to it. Where that was the last, the
    run is complete, whatever else went wrong meanwhile.
    """
    return result_of(job, stored, now) or failure.model_copy(update={"settled": True})


def result_of(job: FederatedJob, status: ServerStatus | None, now: float) -> Result | None:
    """The end of a complete run, where a server or the log of rounds tells of one."""
    if status is None or status.phase is not RunPhase.COMPLETE or not status.result_key:
        return None
    if status.completed < job.spec.federation.num_rounds:
        return None
    last = status.history[-1] if status.history else None
    return Result(
        round=status.completed,
        key=status.result_key,
        sha256=status.result_sha256 or "",
        size=last.size if last is not None else 0,
        time=(epoch(last.ended) if last is not None else None) or int(now),
    )


def _server_failed(seen: EndInputs) -> tuple[str, str] | None:
    said = seen.said
    if said is not None and said.phase is RunPhase.FAILED and said.reason not in PASSING:
        return said.reason or Reason.SERVER_CRASHED, said.message
    words = left_words(seen.server) if seen.server is not None else None
    if words is not None and words["phase"] == RunPhase.FAILED:
        reason = str(words.get("reason") or Reason.SERVER_CRASHED)
        if reason not in PASSING:
            return reason, str(words.get("message") or "")
    return None


def _out_of_memory(job: FederatedJob, seen: EndInputs) -> tuple[str, str] | None:
    spec = job.spec
    if seen.server is not None and seen.server.oom:
        limit = _memory_limit(spec.server.resources.limits)
        return (
            Reason.OUT_OF_MEMORY,
            f"{seen.server.name} ran out of memory{limit}; raise "
            f"spec.server.resources.limits.memory: the run then goes on from the last round",
        )
    for name, pod in sorted(seen.workers.items()):
        if pod is not None and pod.oom:
            limit = _memory_limit(spec.workers.resources.limits)
            return (
                Reason.OUT_OF_MEMORY,
                f"{name} ran out of memory{limit} with batch_size {spec.training.batch_size}; "
                f"reduce batch_size (spec.training.batchSize, in a new job), or raise "
                f"spec.workers.resources.limits.memory: the run then goes on from the last round",
            )
    return None


def _memory_limit(limits: object) -> str:
    memory = getattr(limits, "memory", None)
    return f" (its limit is {memory})" if memory else ""


def _limits(job: FederatedJob, seen: EndInputs, now: float) -> tuple[str, str] | None:
    policy, started = job.spec.run_policy, seen.record.started
    deadline = policy.active_deadline_seconds
    if deadline is not None and started is not None and now >= started + deadline:
        return (
            Reason.DEADLINE_EXCEEDED,
            f"the job ran longer than spec.runPolicy.activeDeadlineSeconds ({deadline} s); raise "
            f"it: the run then goes on from the last round",
        )
    starts = seen.server_site.total - seen.server_site.at_commit
    if starts > policy.backoff_limit:
        words = seen.server.last_words if seen.server is not None else ""
        last = f"; it last said: {words}" if words else ""
        return (
            Reason.BACKOFF_LIMIT_EXCEEDED,
            f"the server was started anew {starts} times without a round in between, and "
            f"spec.runPolicy.backoffLimit is {policy.backoff_limit}{last}; read its log, and "
            f"raise the limit to go on",
        )
    gone = given_up(job, seen.sites)
    left = len(seen.sites) - len(gone)
    if seen.sites and left < job.spec.federation.min_clients:
        return (
            Reason.TOO_FEW_WORKERS,
            f"{left} of {len(seen.sites)} workers are left, and minClients is "
            f"{job.spec.federation.min_clients}; {', '.join(gone)} failed more often than "
            f"spec.workers.maxRestarts ({job.spec.workers.max_restarts}) allows: see their logs, "
            f"and raise it to go on",
        )
    return None


def given_up(job: FederatedJob, sites: Mapping[str, PodSlot]) -> list[str]:
    """Workers that have failed more often than the job allows."""
    most = job.spec.workers.max_restarts
    return sorted(name for name, site in sites.items() if site.total > most)

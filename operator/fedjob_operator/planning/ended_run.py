"""The plan of a run that has ended: it publishes how, and starts nothing.

A stopping server commits the round that is offered to it, so a run that failed may turn out to be
complete. Until no server is left and the log of rounds has been read, the job is Failing, as a
Kubernetes Job has the condition FailureTarget before Failed: nobody who waits for Failed sees it on
a run that ends Complete.
"""

from __future__ import annotations

from enum import StrEnum

from fedjob.protocol.server_status import ServerStatus
from fedjob_operator.naming import SERVER, Body
from fedjob_operator.planning.completion import End, settled
from fedjob_operator.planning.job_view import JobView
from fedjob_operator.planning.status import build_status
from fedjob_operator.planning.status_inputs import Mode, StatusInputs
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.observed import Problem, Stage
from fedjob_operator.state.record import Failure, Record, Result

LINGER_SECONDS = 60.0
"""A pod that has not ended this long after a complete run is deleted."""
MOST_LOG_READS = 5
"""How often the log of rounds is tried while the store does not answer."""
SETTLE_SECONDS = 60.0
"""After this the job is Failed even if its server still exists: that server's node may be lost."""


class Settling(StrEnum):
    """Progress of finding out whether a failed run is complete after all."""

    DONE = "done"
    STOPPING = "stopping"
    """A server still exists, and may commit."""
    READING = "reading"
    """The log of rounds is to be read now."""
    WAITING = "waiting"
    """The log could not be read just now."""


def log_stage(view: JobView) -> frozenset[Stage]:
    """The stage that reads the log of rounds, unless that has just failed."""
    problem = _log_problem(view)
    waits = problem is not None and problem.retry_at > view.now
    return frozenset() if waits else frozenset({Stage.LOG})


def settle(view: JobView, end: End) -> tuple[Record, End]:
    """The record and the end of a run, once the log of rounds has been read after a failure."""
    record, log_status = view.record, view.observations.log_status
    unsettled = _settling(view, record, end) in (Settling.READING, Settling.WAITING)
    if not isinstance(end, Failure) or log_status is None or not unsettled:
        return record, end
    end = settled(view.job, end, log_status, view.now)
    if isinstance(end, Result):
        return record.model_copy(update={"failure": None, "result": end}), end
    return record.model_copy(update={"failure": end}), end


def plan_ended_run(view: JobView, record: Record, end: End) -> Actions:
    """Plans a run that has ended: its ended pods stay readable until the job's TTL.

    Its Secrets go at once. Pods that still end have read theirs, and a run that continues later
    gets others.
    """
    late = isinstance(end, Failure) or view.now >= end.time + LINGER_SECONDS
    waits: list[float | None] = []
    if late:
        record, server, workers = view.stopped_slots(record)
    else:
        server, workers = view.kept_slots(record)
        if any(not pod.ended for pods in view.pods.values() for pod in pods):
            waits.append(end.time + LINGER_SECONDS - view.now)
    progress = _settling(view, record, end)
    failing = _is_failing(progress, end, view.now)
    waits.append(_next_look(view, progress, end))
    ttl = view.job.spec.run_policy.ttl_seconds_after_finished
    if ttl is None:
        ttl = view.defaults.ttl
    left = None if ttl is None else end.time + ttl - view.now
    if left is not None and left > 0:
        waits.append(left)
    observations = view.observations
    last = observations.server.status if observations.server is not None else None
    server_status = observations.log_status or last
    inputs = StatusInputs(
        view=view,
        mode=Mode.OVER,
        record=record,
        server=server,
        workers=workers,
        server_status=server_status,
        end=end,
        failing=failing,
    )
    reading = progress is Settling.READING
    return Actions(
        delete=(*_secrets(view), *view.pods_to_delete([server, *workers.values()])),
        record=view.record_body(record),
        status=build_status(inputs),
        stages=log_stage(view) if reading else _unpublished_rounds(view, end, server_status),
        again=min((wait for wait in waits if wait is not None), default=None),
        delete_job=left is not None and left <= 0 and not failing,
        server=server.pod,
    )


def _secrets(view: JobView) -> tuple[Body, ...]:
    """Store keys, startup kits and presigned URLs that nothing will read any more."""
    owned = sorted(view.owned.items(), key=lambda item: item[0])
    return tuple(
        body
        for (kind, _), body in owned
        if kind == "Secret" and not body["metadata"].get("deletionTimestamp")
    )


def _settling(view: JobView, record: Record, end: End) -> Settling:
    """The progress; only a failed run that had a server leaves anything to find out."""
    if not isinstance(end, Failure) or end.settled or not record.server.ordinal:
        return Settling.DONE
    if any(not pod.ended for pod in view.pods_of(SERVER)):
        return Settling.STOPPING
    problem = _log_problem(view)
    if problem is not None and problem.tries >= MOST_LOG_READS:
        return Settling.DONE
    return Settling.READING if log_stage(view) else Settling.WAITING


def _log_problem(view: JobView) -> Problem | None:
    """Why the log of rounds could not be read; None where it was not tried, or was read."""
    return view.observations.problems.get(Stage.LOG)


def _is_failing(progress: Settling, end: End, now: float) -> bool:
    """Whether it is too early to declare the run failed."""
    return progress is not Settling.DONE and now < end.time + SETTLE_SECONDS


def _next_look(view: JobView, progress: Settling, end: End) -> float | None:
    """Seconds until the progress must be looked at again without any event."""
    failing = _is_failing(progress, end, view.now)
    deadline = end.time + SETTLE_SECONDS - view.now if failing else None
    problem = _log_problem(view)
    if progress is Settling.WAITING and problem is not None:
        retry = problem.retry_at - view.now
        return retry if deadline is None else min(retry, deadline)
    return deadline


def _unpublished_rounds(
    view: JobView, end: End, server_status: ServerStatus | None
) -> frozenset[Stage]:
    """Reads the log where an operator ended between writing the record and the status."""
    if not isinstance(end, Result) or server_status is not None:
        return frozenset()
    history = view.status.get("history") or []
    published = max((int(entry.get("round") or 0) for entry in history), default=0)
    return log_stage(view) if published < end.round else frozenset()

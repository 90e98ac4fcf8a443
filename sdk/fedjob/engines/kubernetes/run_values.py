"""What every engine says of a run, from a FederatedJob: its status and its result. Pure."""

from __future__ import annotations

from fedjob.engines.kubernetes.resource import FINAL, JobResource
from fedjob.engines.result import RunResult, RunState
from fedjob.engines.run_status import RunStatus, status_from
from fedjob.formats import epoch
from fedjob.spec.models.status import JobState

WAITING = "the operator has not seen the job's latest change yet"


def status_of(job: JobResource) -> RunStatus:
    """The status of the run; that of an earlier spec does not end it."""
    total = int((job.spec.get("federation") or {}).get("numRounds", 5))
    found = status_from(job.name, job.namespace, total, job.status)
    if not job.seen and found.state in FINAL:
        return found.model_copy(
            update={"state": JobState.PENDING, "reason": "", "message": WAITING, "result": None}
        )
    if not job.seen and job.status.state is None:
        return found.model_copy(update={"message": "waiting for the operator"})
    return found


def result_of(job: JobResource) -> RunResult:
    """How an ended run ended, with the rounds that the status has: the last 20."""
    status = status_of(job)
    restarts = {client.name: client.restarts for client in status.clients if client.restarts}
    server = job.status.server
    if server is not None and server.restarts:
        restarts["server"] = server.restarts
    begun = epoch(job.status.start_time) or job.created
    ended = epoch(job.status.completion_time) or begun
    complete = status.state is JobState.COMPLETE
    return RunResult(
        name=job.name,
        namespace=job.namespace,
        state=RunState(status.state),
        reason=status.reason if status.state is JobState.FAILED else "",
        message=status.message if status.state is JobState.FAILED else "",
        rounds=status.history,
        model=status.result,
        best=status.best,
        stopped=status.total if status.completed < status.total and complete else None,
        num_classes=int((job.spec.get("training") or {}).get("numClasses", 0)),
        restarts=restarts,
        seconds=max(ended - begun, 0.0),
    )

"""Jobs brought to a point of their life by plans that are applied to a simulated cluster."""

from __future__ import annotations

from typing import Any

from fedjob.protocol.server_status import RunPhase
from fedjob.spec.models.job import FederatedJob
from fedjob.spec.models.status import FederatedJobStatus
from fedjob_operator.naming import Body
from fedjob_operator.state.observed import Observations, Observed, Stage
from support.operator.samples import (
    NOW,
    a_job,
    a_status,
    knowing,
    observed_of,
    plan_for,
    record_in,
    running,
    simulate,
    with_pod,
)


def started(job: FederatedJob, observations: Observations | None = None) -> Observed:
    """A job whose pods have just been created."""
    observed = observed_of(job, observations)
    return simulate(observed, plan_for(job, observed, NOW))


def all_running(observed: Observed) -> Observed:
    """The observed job with every pod running and ready."""
    for kind, name in list(observed.children):
        if kind == "Pod":
            observed = with_pod(observed, name, **running())
    return observed


def ready(
    job: FederatedJob | None = None, observations: Observations | None = None
) -> tuple[FederatedJob, Observed]:
    """A job whose pods run and are ready."""
    job = job or a_job()
    return job, all_running(started(job, observations))


def settle(job: FederatedJob, observed: Observed, now: float = NOW) -> Observed:
    """Applies plans until one changes nothing."""
    for _ in range(8):
        actions = plan_for(job, observed, now)
        if actions.delete_job:
            return observed
        if not actions.changes and actions.status == observed.body.get("status"):
            return observed
        observed = simulate(observed, actions, now)
    kinds = {
        "delete": names(actions.delete),
        "create": names(actions.create),
        "apply": names(actions.apply),
        "record": (actions.record or {}).get("data"),
        "before": record_in(observed),
    }
    raise AssertionError(f"the plan does not converge: {kinds}")


def settle_and_read(job: FederatedJob, observed: Observed, now: float = NOW) -> Observed:
    """`settle` for a run that fails, with the log of rounds read once its server has ended."""
    observed = settle(job, observed, now)
    assert observed.body["status"]["state"] == "Failing"
    assert Stage.LOG in plan_for(job, observed, now).stages
    return settle(job, knowing(observed, log_status=a_status(RunPhase.STARTING, 1)), now)


def names(bodies: tuple[Body, ...], kind: str = "") -> list[str]:
    """The sorted names of objects, of all kinds or of one."""
    return sorted(b["metadata"]["name"] for b in bodies if not kind or b["kind"] == kind)


def published(job: FederatedJob, observed: Observed, now: float = NOW) -> Body:
    """The status that is planned, which the schema accepts."""
    status = plan_for(job, observed, now).status
    assert status is not None
    FederatedJobStatus.model_validate(status)
    return status


def condition(status: Body | None, kind: str) -> Body:
    """One condition of a status."""
    assert status is not None
    return next(c for c in status["conditions"] if c["type"] == kind)


def in_kubelet_backoff(back_off: str, code: int = 137, restarts: int = 1) -> Body:
    """The status of a pod whose container the kubelet restarts only after a back-off."""
    end = {"exitCode": code, "reason": "Error", "message": "TypeError: x\n"}
    message = f"back-off {back_off} restarting failed container=fedjob pod=digits-server_default"
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    return running(ready=False, restarts=restarts, state=state, last=end)


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """The status of a pod whose container waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"state": state}]}


def unschedulable(message: str) -> dict[str, Any]:
    """The status of a pod that no node accepts."""
    found = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return {"phase": "Pending", "conditions": [{**found, "message": message}]}

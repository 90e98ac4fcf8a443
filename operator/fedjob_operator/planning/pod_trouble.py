"""Why a pod does not start or a worker does not train, with what to do, for the conditions."""

from __future__ import annotations

from fedjob.protocol.exit_codes import EXIT_TERMINAL
from fedjob.protocol.server_status import ClientState, ServerStatus
from fedjob.reasons import Reason
from fedjob_operator.planning.completion import exhausted
from fedjob_operator.planning.pod_lifecycle import SlotPlan
from fedjob_operator.planning.status_inputs import StatusInputs
from fedjob_operator.resources.pods import GPU
from fedjob_operator.state.pod_status import PodView, termination_message


def connected(status: ServerStatus | None) -> set[str]:
    """The workers that the server counts as connected."""
    return set() if status is None else status.connected


def worker_trouble(inputs: StatusInputs, name: str) -> tuple[str, str]:
    """A reason, empty without trouble, and what the worker is doing."""
    plan, spec = inputs.workers[name], inputs.view.job.spec
    most = spec.workers.max_restarts
    if exhausted(inputs.view.job, {name: plan.slot}):
        return (
            Reason.WORKER_EXITED,
            f"failed {plan.slot.total} times, and spec.workers.maxRestarts is {most}: the run "
            f"continues without it; read its log, and raise maxRestarts to try it again",
        )
    pod = plan.pod
    if pod is None:
        return "", why_absent(plan, "its pod")
    reason, message = pod_trouble(pod)
    if reason:
        return reason, message
    if pod.phase == "Succeeded":
        return "", "has ended"
    if pod.exit_code == EXIT_TERMINAL:
        return _terminal(pod)
    if pod.exit_code:
        return (
            Reason.WORKER_EXITED,
            f"ended with exit code {pod.exit_code}; restarting (restart {plan.slot.total} of "
            f"{most}): {pod.last_message or 'read its log'}",
        )
    if name in _lost(inputs.server_status):
        return (
            Reason.WORKER_LOST,
            f"{pod.name} runs, but the server has lost contact: it drops a worker that is silent "
            f"for heartBeatTimeout, {spec.federation.heart_beat_timeout} s, and accepts it again "
            f"when it answers",
        )
    return "", f"{pod.name} is {pod.phase}"


def pod_trouble(pod: PodView) -> tuple[str, str]:
    """Why a pod does not start: a reason of `fedjob.reasons` and a message, or two empty texts."""
    if pod.gated:
        fix = "`kubectl get workloads` shows its place in the queue, and why"
        return Reason.QUEUED, f"{pod.name} waits to be admitted by Kueue; {fix}"
    if pod.unschedulable:
        if GPU in pod.unschedulable:
            fix = "free GPUs or add nodes, or set spec.workers.gpuFallback: cpu"
            return Reason.GPU_UNAVAILABLE, f"{pod.name} waits for a GPU: {pod.unschedulable}; {fix}"
        fix = "lower resources.requests, or correct nodeSelector and tolerations"
        return Reason.UNSCHEDULABLE, f"{pod.name}: {pod.unschedulable}; {fix}"
    if pod.pull_trouble:
        fix = "check that the nodes reach the registry, and spec.image.pullSecrets"
        return Reason.IMAGE_PULL_FAILED, f"{pod.name}: {pod.waiting_message or pod.waiting}; {fix}"
    if pod.start_trouble:
        fix = "create the object that is named there, in the job's namespace"
        return Reason.ADMISSION_REFUSED, f"{pod.name}: {pod.waiting_message or pod.waiting}; {fix}"
    return "", ""


def why_absent(plan: SlotPlan | None, what: str) -> str:
    """Why a slot has no pod now.

    Args:
        plan: The slot's plan; None where it has none.
        what: How the message names the pod.
    """
    if plan is not None and plan.create is not None:
        return f"{what} is starting"
    if plan is not None and plan.again is not None:
        return f"{what} starts within {plan.again:.0f} s"
    return f"{what} does not exist"


def _terminal(pod: PodView) -> tuple[str, str]:
    reason = str((termination_message(pod) or {}).get("reason") or Reason.DATASET_INVALID)
    what, fix = "shard", "repair the shard in the store"
    if reason == Reason.KIT_INVALID:
        what, fix = "startup kit", "repair the Secret that holds it"
    message = pod.last_message or "read its log"
    return reason, f"cannot use its {what}: {message}; {fix}, and the worker continues by itself"


def _lost(status: ServerStatus | None) -> set[str]:
    """The workers that were connected and that the server has lost."""
    clients = status.clients if status is not None else []
    return {c.name for c in clients if c.state is ClientState.LOST}

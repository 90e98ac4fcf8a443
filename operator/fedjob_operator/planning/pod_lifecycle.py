"""What happens to the pods of one slot, which is the server's or a worker's.

A slot has one pod at a time. A pod that is lost (deleted, evicted, on a lost node) is replaced
under the next ordinal, after a delay that grows while replacements do not last. Restarts in place
are the kubelet's; here they are counted. Where the kubelet's back-off would take longer than a
replacement, the pod is replaced, because the round waits for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fedjob.backoff import Backoff
from fedjob.protocol.exit_codes import EXIT_TERMINAL
from fedjob.spec.models.status import RestartCause
from fedjob_operator.resources.pod_config import PodConfig
from fedjob_operator.state.pod_status import OVERDUE_SECONDS, PodView
from fedjob_operator.state.record import PodSlot

STEADY_SECONDS = 120.0
"""A pod that lived this long had started well: its backoff begins again."""
POD_BACKOFF = Backoff(first=2.0, longest=60.0)
"""Before a replacement, from the second loss in a row on."""
REPLACEMENT_SECONDS = 8.0
"""What a replacement may cost: it is scheduled and started in about three seconds."""
DELETED_RECHECK_SECONDS = 2.0
"""Until a pod that is deleted now is looked at again."""

_BACK_OFF = re.compile(r"back-off (?:(\d+)m)?(?:(\d+)s)?")
_DISRUPTIONS = {
    "DeletionByTaintManager": RestartCause.NODE_LOST,
    "DeletionByPodGC": RestartCause.NODE_LOST,
    "EvictionByEvictionAPI": RestartCause.EVICTED,
    "TerminationByKubelet": RestartCause.EVICTED,
    "PreemptionByScheduler": RestartCause.PREEMPTED,
}
"""Reasons of the pod condition DisruptionTarget, as Kubernetes names them."""
_UNOBSERVED_ENDS = frozenset({"Unknown", "ContainerStatusUnknown"})
_SIGKILL, _SIGTERM = 137, 143


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPlan:
    """What to do about one slot.

    Attributes:
        slot: What to record.
        pod: The current pod, which stays; None where there is none.
        create: Ordinal of a pod to create now.
        delete: Pods to delete.
        again: Seconds until there is more to do; None when only events matter.
        loss: Why a pod was lost just now; empty when none was.
        lost_pod: That pod, where it still exists.
        changed: Which pod is replaced because of what changed; empty where none is.
    """

    slot: PodSlot
    pod: PodView | None = None
    create: int | None = None
    delete: tuple[PodView, ...] = ()
    again: float | None = None
    loss: str = ""
    lost_pod: PodView | None = None
    changed: str = ""


def plan_slot(
    slot: PodSlot, pods: Sequence[PodView], config: PodConfig, now: float, *, rerun: bool = False
) -> SlotPlan:
    """Plans a slot that should run.

    Args:
        slot: Its record.
        pods: Every pod of the slot, including those that are being deleted.
        config: What its pod should be started with.
        now: Seconds since the epoch.
        rerun: Whether a pod that has succeeded must run again, because there are more rounds.
    """
    live = sorted((p for p in pods if p.deleting is None), key=lambda p: p.ordinal)
    # A pod beyond the record was created just before an operator ended.
    newest = max((p.ordinal for p in pods), default=-1)
    if newest > slot.ordinal:
        slot = _next(_folded(slot), newest)
    current = next((p for p in reversed(live) if p.ordinal == slot.ordinal), None)
    others = tuple(p for p in live if p is not current)
    if current is not None:
        return _plan_current(slot, current, others, config, now=now, rerun=rerun)
    leaving = [p for p in pods if p.deleting is not None]
    return _plan_absent(slot, leaving, others, now)


def stop_slot(slot: PodSlot, pods: Sequence[PodView]) -> SlotPlan:
    """Plans a slot that should not run: running pods are deleted, ended ones stay readable."""
    running = tuple(p for p in pods if p.deleting is None and not p.ended)
    kept = next((p for p in pods if p.deleting is None and p.ended), None)
    newest = max(pods, key=lambda p: p.ordinal, default=None)
    if newest is not None and slot.ordinal <= newest.ordinal:
        # The next start gets another pod; a pod that was stopped is not a loss.
        slot = _next(_folded(_counted(slot, newest)), newest.ordinal + 1)
    elif slot.seen:
        slot = _next(_folded(slot), slot.ordinal + 1)
    return SlotPlan(slot=slot, pod=kept, delete=running)


def cause_of_restart(pod: PodView) -> RestartCause:
    """Why the kubelet restarted the pod's container."""
    if pod.oom:
        return RestartCause.OUT_OF_MEMORY
    if pod.end_reason in _UNOBSERVED_ENDS:
        return RestartCause.NODE_RESTARTED
    if pod.exit_code == _SIGKILL:
        return RestartCause.KILLED
    return RestartCause.TERMINATED if pod.exit_code == _SIGTERM else RestartCause.EXITED


def cause_of_loss(pod: PodView) -> RestartCause:
    """Why a pod that is being deleted, or has failed as a whole, must be replaced."""
    if pod.disruption in _DISRUPTIONS:
        return _DISRUPTIONS[pod.disruption]
    if pod.phase != "Failed":
        return RestartCause.DELETED
    return RestartCause.EVICTED if pod.reason == "Evicted" else RestartCause.FAILED


def pod_delay(streak: int) -> float:
    """Seconds before the replacement that follows the `streak`-th loss in a row.

    The first replacement starts at once: a drained node or a deleted pod is not the pod's fault.
    """
    return POD_BACKOFF.delay(streak - 1)


def next_streak(streak: int, lived: float) -> int:
    """Losses in a row, including a pod that is lost after it lived for `lived` seconds."""
    return 1 if lived >= STEADY_SECONDS else streak + 1


def replacement_is_faster(message: str, delay: float) -> bool:
    """Whether a new pod after `delay` seconds starts well before the kubelet's next restart.

    The kubelet waits 10, 20, 40 s and so on up to 300 s before each restart but the first of a
    pod, and starts over with a new pod.

    Args:
        message: The kubelet's, such as `back-off 1m20s restarting failed container=...`.
        delay: Seconds before the new pod is created.
    """
    found = _BACK_OFF.search(message)
    minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0)
    return 60 * minutes + seconds >= delay + REPLACEMENT_SECONDS


def _plan_current(
    slot: PodSlot,
    current: PodView,
    others: tuple[PodView, ...],
    config: PodConfig,
    *,
    now: float,
    rerun: bool,
) -> SlotPlan:
    slot, delete = _counted(slot, current), (current, *others)
    changed, why = config.changed(current)
    if changed and not current.ended:
        fresh = _next(_folded(slot), slot.ordinal + 1)
        text = f"{current.name} is replaced: {why}"
        return _start(fresh, delete, now, wait=DELETED_RECHECK_SECONDS, changed=text)
    if current.phase == "Succeeded" and rerun:
        return _start(_next(_folded(slot), slot.ordinal + 1), delete, now)
    if current.phase == "Failed":
        loss = f"{current.name}: {current.reason or 'the pod failed'}"
        return _lost(slot, delete, now, loss=loss, cause=cause_of_loss(current), pod=current)
    if _restarts_slowly(slot, current, now):
        loss = f"{current.name}: its container ended, and the kubelet would restart it later"
        return _lost(slot, delete, now, loss=loss, cause=cause_of_restart(current), pod=current)
    return SlotPlan(slot=slot, pod=current, delete=others)


def _plan_absent(
    slot: PodSlot, leaving: Sequence[PodView], others: tuple[PodView, ...], now: float
) -> SlotPlan:
    """Plans a slot whose current pod is being deleted, or does not exist."""
    leaving_pod = next((p for p in leaving if p.ordinal == slot.ordinal), None)
    if leaving_pod is not None and not slot.disruption:
        # Recorded while the pod still exists: the cause disappears with it.
        slot = slot.model_copy(update={"disruption": cause_of_loss(leaving_pod)})
    waits = [p.deleting + OVERDUE_SECONDS - now for p in leaving if p.deleting is not None]
    if any(not p.ended for p in others):
        waits.append(DELETED_RECHECK_SECONDS)
    if waits and max(waits) > 0:
        # Two pods of one slot must not meet in the federation: the old one leaves first.
        return SlotPlan(slot=slot, delete=others, again=max(waits))
    if slot.seen:
        # A pod that still exists after its grace period is on a node that does not answer.
        cause = RestartCause.NODE_LOST if leaving_pod is not None else slot.disruption
        loss = f"the pod of start {slot.ordinal + 1} is gone"
        return _lost(slot, others, now, loss=loss, cause=cause or RestartCause.DELETED)
    if leaving_pod is not None:
        # A pod that cannot be deleted still has the name.
        slot = _next(slot, slot.ordinal + 1)
    return _start(slot, others, now)


def _restarts_slowly(slot: PodSlot, pod: PodView, now: float) -> bool:
    """Whether the kubelet's back-off takes longer than a replacement would."""
    if pod.waiting != "CrashLoopBackOff" or pod.exit_code == EXIT_TERMINAL or pod.oom:
        return False
    streak = next_streak(slot.streak, _lived(slot, now))
    return replacement_is_faster(pod.waiting_message, pod_delay(streak))


def _lost(
    slot: PodSlot,
    delete: tuple[PodView, ...],
    now: float,
    *,
    loss: str,
    cause: str,
    pod: PodView | None = None,
) -> SlotPlan:
    """Records a loss before the pod is replaced: the replacement would hide it."""
    update = {
        "restarts": slot.total + 1,
        "causes": slot.caused(cause),
        "in_place": 0,
        "excused": 0,
        "streak": next_streak(slot.streak, _lived(slot, now)),
        "lost_at": int(now),
        "ordinal": slot.ordinal + 1,
        "seen": False,
        "disruption": "",
        "born": None,
    }
    slot = slot.model_copy(update=update)
    again = pod_delay(slot.streak)
    return SlotPlan(slot=slot, delete=delete, again=again, loss=loss, lost_pod=pod)


def _start(
    slot: PodSlot,
    delete: tuple[PodView, ...],
    now: float,
    *,
    wait: float = 0.0,
    changed: str = "",
) -> SlotPlan:
    due = 0.0 if slot.lost_at is None else slot.lost_at + pod_delay(slot.streak) - now
    due = max(due, wait)
    if due > 0:
        return SlotPlan(slot=slot, delete=delete, again=due, changed=changed)
    started = slot.model_copy(update={"seen": True, "born": int(now)})
    return SlotPlan(slot=started, create=slot.ordinal, delete=delete)


def _lived(slot: PodSlot, now: float) -> float:
    """Seconds since the current pod was created."""
    return now - slot.born if slot.born is not None else 0.0


def _counted(slot: PodSlot, pod: PodView) -> PodSlot:
    """Counts the kubelet's restarts; those after EXIT_TERMINAL wait for a shard to be repaired."""
    update: dict[str, object] = {"seen": True}
    if slot.born is None:
        update["born"] = pod.created
    if pod.exit_code == EXIT_TERMINAL:
        update["excused"] = max(0, pod.restarts - slot.in_place)
    else:
        update["in_place"] = in_place = max(0, pod.restarts - slot.excused)
        if in_place > slot.in_place:
            update["causes"] = slot.caused(cause_of_restart(pod), in_place - slot.in_place)
    return slot.model_copy(update=update)


def _folded(slot: PodSlot) -> PodSlot:
    """Keeps in the sum the restarts within an earlier pod."""
    return slot.model_copy(update={"restarts": slot.total, "in_place": 0, "excused": 0})


def _next(slot: PodSlot, ordinal: int) -> PodSlot:
    update = {"ordinal": ordinal, "seen": False, "born": None, "lost_at": None, "disruption": ""}
    return slot.model_copy(update=update)

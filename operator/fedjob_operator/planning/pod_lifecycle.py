"""What becomes of the pods of one site, the server or a worker. Pure.

A site has one pod at a time. One that is lost (deleted, evicted, on a node that is gone) is
replaced under the next ordinal, after a delay that grows while replacements do not last. In-place
restarts are the kubelet's; here they are counted. Where it makes a container wait for longer than
a replacement would, the pod is replaced: rounds wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedjob.spec.models.status import RestartCause
from fedjob_operator.planning.backoff import next_streak, pod_delay, replaces
from fedjob_operator.planning.causes import cause_of_loss, cause_of_restart
from fedjob_operator.state.pod_status import PodView
from fedjob_operator.state.record import PodSlot

EXIT_TERMINAL = 64
"""A worker's "a restart does not help" (EX_USAGE of sysexits.h): its shard or its kit is wrong."""
OVERDUE_SECONDS = 2.0
"""Beyond its grace, a pod that is being deleted is on a node that does not answer."""

GOING_SECONDS = 2.0
"""Until a pod that is deleted now is looked at again."""


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """What to do.

    Attributes:
        site: What to remember.
        pod: The pod that is there and stays; None where there is none.
        create: The ordinal of a pod to create now.
        delete: Pods to delete.
        again: Seconds until there is more to do; None when only events matter.
        lost: Why a pod was given up just now; empty when none was.
        given_up: That pod, where it is there to be read.
    """

    site: PodSlot
    pod: PodView | None = None
    create: int | None = None
    delete: tuple[PodView, ...] = ()
    again: float | None = None
    lost: str = ""
    given_up: PodView | None = None


def plan_site(
    site: PodSlot, pods: Sequence[PodView], config: str, now: float, *, rerun: bool = False
) -> SlotPlan:
    """Plans a site that should run.

    Args:
        site: What is remembered.
        pods: Every pod of the site, those that are being deleted included.
        config: Hash of what its pod should be started with.
        now: Seconds since the epoch.
        rerun: A pod that has ended well has to run again: there are more rounds.
    """
    live = sorted((p for p in pods if p.deleting is None), key=lambda p: p.ordinal)
    leaving = [p for p in pods if p.deleting is not None]
    # A pod beyond what is remembered was created just before the operator ended.
    newest = max((p.ordinal for p in pods), default=-1)
    if newest > site.ordinal:
        site = _next(_folded(site), newest)
    current = next((p for p in reversed(live) if p.ordinal == site.ordinal), None)
    delete = tuple(p for p in live if p is not current)
    if current is not None:
        site = _counted(site, current)
        if current.config != config and not current.ended:
            fresh = _next(_folded(site), site.ordinal + 1)
            return _start(fresh, (current, *delete), now, wait=GOING_SECONDS)
        if current.phase == "Succeeded" and rerun:
            fresh = _next(_folded(site), site.ordinal + 1)
            return _start(fresh, (current, *delete), now)
        if current.phase == "Failed":
            why = f"{current.name}: {current.reason or 'it failed'}"
            return _lost(site, (current, *delete), now, why, cause_of_loss(current), current)
        if _waits_too_long(site, current, now):
            why = f"{current.name}: it ended, and would not be started again for a while"
            return _lost(site, (current, *delete), now, why, cause_of_restart(current), current)
        return SlotPlan(site, current, None, delete)
    going = next((p for p in leaving if p.ordinal == site.ordinal), None)
    if going is not None and not site.going:
        # Remembered while it is there to be read: the pod's own words go with it.
        site = site.model_copy(update={"going": cause_of_loss(going)})
    waits = [p.deleting + OVERDUE_SECONDS - now for p in leaving if p.deleting is not None]
    if any(not p.ended for p in delete):
        waits.append(GOING_SECONDS)
    if waits and max(waits) > 0:
        # Two pods of one site must not meet in the federation: the old one goes first.
        return SlotPlan(site, delete=delete, again=max(waits))
    if site.seen:
        gone = f"the pod of start {site.ordinal + 1} is gone"
        # A pod that is still there after its grace is on a node that does not answer.
        cause = RestartCause.NODE_LOST if going is not None else site.going
        return _lost(site, delete, now, gone, cause or RestartCause.DELETED)
    if going is not None:
        # Its name is taken by a pod that cannot go.
        site = _next(site, site.ordinal + 1)
    return _start(site, delete, now)


def is_overdue(pod: PodView, now: float) -> bool:
    """Whether a pod that is being deleted should have gone by now."""
    return pod.deleting is not None and now >= pod.deleting + OVERDUE_SECONDS


def _waits_too_long(site: PodSlot, pod: PodView, now: float) -> bool:
    """Whether the kubelet holds back a container that a fresh pod would start sooner."""
    if pod.waiting != "CrashLoopBackOff" or pod.exit_code == EXIT_TERMINAL or pod.oom:
        return False
    return replaces(pod.waiting_message, pod_delay(next_streak(site.streak, _lived(site, now))))


def stop_site(site: PodSlot, pods: Sequence[PodView]) -> SlotPlan:
    """Plans a site that should not run: what runs is deleted, what has ended stays to be read."""
    running = tuple(p for p in pods if p.deleting is None and not p.ended)
    kept = next((p for p in pods if p.deleting is None and p.ended), None)
    top = max(pods, key=lambda p: p.ordinal, default=None)
    if top is not None and site.ordinal <= top.ordinal:
        # The next start is another pod; what stopped was no loss.
        site = _next(_folded(_counted(site, top)), top.ordinal + 1)
    elif site.seen:
        site = _next(_folded(site), site.ordinal + 1)
    return SlotPlan(site, kept, None, running)


def _lost(
    site: PodSlot,
    delete: tuple[PodView, ...],
    now: float,
    why: str,
    cause: str,
    given_up: PodView | None = None,
) -> SlotPlan:
    """A loss is remembered before the pod is replaced: the replacement would not tell of it."""
    site = _lose(site, now, cause)
    return SlotPlan(site, None, None, delete, pod_delay(site.streak), why, given_up)


def _start(
    site: PodSlot, delete: tuple[PodView, ...], now: float, *, wait: float = 0.0
) -> SlotPlan:
    due = (site.lost_at or 0.0) + pod_delay(site.streak) - now
    due = max(due if site.lost_at is not None else 0.0, wait)
    if due > 0:
        return SlotPlan(site, None, None, delete, due)
    started = site.model_copy(update={"seen": True, "born": int(now)})
    return SlotPlan(started, None, site.ordinal, delete)


def _lose(site: PodSlot, now: float, cause: str) -> PodSlot:
    update = {
        "restarts": site.total + 1,
        "causes": site.caused(cause),
        "in_place": 0,
        "excused": 0,
        "streak": next_streak(site.streak, _lived(site, now)),
        "lost_at": int(now),
        "ordinal": site.ordinal + 1,
        "seen": False,
        "going": "",
        "born": None,
    }
    return site.model_copy(update=update)


def _lived(site: PodSlot, now: float) -> float:
    """Seconds since the pod of `ordinal` was created."""
    return now - site.born if site.born is not None else 0.0


def _counted(site: PodSlot, pod: PodView) -> PodSlot:
    """Takes the kubelet's restarts in; those after EXIT_TERMINAL wait for a shard to be mended."""
    update: dict[str, object] = {"seen": True}
    if site.born is None:
        update["born"] = pod.created
    if pod.exit_code == EXIT_TERMINAL:
        update["excused"] = max(0, pod.restarts - site.in_place)
    else:
        update["in_place"] = in_place = max(0, pod.restarts - site.excused)
        if in_place > site.in_place:
            update["causes"] = site.caused(cause_of_restart(pod), in_place - site.in_place)
    return site.model_copy(update=update)


def _folded(site: PodSlot) -> PodSlot:
    """Restarts within a pod that is no longer the current one are kept in the sum."""
    return site.model_copy(update={"restarts": site.total, "in_place": 0, "excused": 0})


def _next(site: PodSlot, ordinal: int) -> PodSlot:
    update = {"ordinal": ordinal, "seen": False, "born": None, "lost_at": None, "going": ""}
    return site.model_copy(update=update)

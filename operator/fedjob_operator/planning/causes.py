"""Why a site was started anew, in a word: restarts in the status are counted by it. Pure."""

from __future__ import annotations

from fedjob.spec.models.status import RestartCause
from fedjob_operator.state.pod_status import PodView

_DISRUPTIONS = {
    "DeletionByTaintManager": RestartCause.NODE_LOST,
    "DeletionByPodGC": RestartCause.NODE_LOST,
    "EvictionByEvictionAPI": RestartCause.EVICTED,
    "TerminationByKubelet": RestartCause.EVICTED,
    "PreemptionByScheduler": RestartCause.PREEMPTED,
}
"""Reasons of the pod condition DisruptionTarget, as Kubernetes names them."""
_UNSEEN_ENDS = frozenset({"Unknown", "ContainerStatusUnknown"})
_SIGKILL, _SIGTERM = 137, 143


def cause_of_restart(pod: PodView) -> RestartCause:
    """Why the kubelet started the pod's container anew."""
    if pod.oom:
        return RestartCause.OUT_OF_MEMORY
    if pod.end_reason in _UNSEEN_ENDS:
        return RestartCause.NODE_RESTARTED
    if pod.exit_code == _SIGKILL:
        return RestartCause.KILLED
    return RestartCause.TERMINATED if pod.exit_code == _SIGTERM else RestartCause.EXITED


def cause_of_loss(pod: PodView) -> RestartCause:
    """Why a pod that is being deleted, or has failed as a whole, has to be replaced."""
    if pod.disruption in _DISRUPTIONS:
        return _DISRUPTIONS[pod.disruption]
    if pod.phase != "Failed":
        return RestartCause.DELETED
    return RestartCause.EVICTED if pod.reason == "Evicted" else RestartCause.FAILED

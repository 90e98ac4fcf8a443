"""Kueue's pod groups."""

from __future__ import annotations

from support.operator.runs import (
    published,
)
from support.operator.samples import (
    NOW,
    a_job,
    observed_of,
    plan_for,
    simulate,
    with_pod,
)


def test_job_with_a_queue_waits_for_kueue() -> None:
    """Its pods are one group, gated until it is admitted; without a queue nothing of that."""
    job = a_job()
    plain = plan_for(job, observed_of(job), NOW)
    assert not any("schedulingGates" in body.get("spec", {}) for body in plain.create)
    assert "kueue" not in str(plain.create)
    labels = {"kueue.x-k8s.io/queue-name": "team-a"}
    meta = job.metadata.model_copy(update={"labels": labels})
    queued = job.model_copy(update={"metadata": meta})
    observed = observed_of(queued)
    actions = plan_for(queued, observed, NOW)
    pods = [body for body in actions.create if body["kind"] == "Pod"]
    assert len(pods) == 3
    for pod in pods:
        assert pod["metadata"]["labels"].items() >= labels.items()
        assert pod["metadata"]["labels"]["kueue.x-k8s.io/pod-group-name"] == "digits"
        assert pod["metadata"]["annotations"]["kueue.x-k8s.io/pod-group-total-count"] == "3"
        assert pod["spec"]["schedulingGates"] == [{"name": "kueue.x-k8s.io/admission"}]
    observed = simulate(observed, actions)
    waits = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    for pod in pods:
        observed = with_pod(observed, pod["metadata"]["name"], conditions=[waits])
    status = published(queued, observed)
    assert (status["state"], status["reason"]) == ("Starting", "Queued")

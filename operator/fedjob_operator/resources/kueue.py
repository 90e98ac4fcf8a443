"""Kueue's pod groups: a job with a queue label is held until Kueue admits all its pods together.

The label is the one that Kueue defines for every workload. The pods are created with Kueue's
scheduling gate, so that they are held even while Kueue's webhook does not answer.
"""

from __future__ import annotations

from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import Body

QUEUE = "kueue.x-k8s.io/queue-name"
GROUP = "kueue.x-k8s.io/pod-group-name"
MANAGED = "kueue.x-k8s.io/managed"
TOTAL = "kueue.x-k8s.io/pod-group-total-count"
GATE = "kueue.x-k8s.io/admission"
"""The scheduling gate that Kueue removes from a pod that it admits."""


def queue_of(job: FederatedJob) -> str:
    """The job's local queue; empty where it has none."""
    return job.metadata.labels.get(QUEUE, "")


def queued(pod: Body, job: FederatedJob, total: int) -> Body:
    """The pod as a member of the job's group of `total` pods; unchanged without a queue."""
    queue = queue_of(job)
    if not queue:
        return pod
    meta = pod["metadata"]
    labels = {QUEUE: queue, GROUP: job.metadata.name, MANAGED: "true"}
    meta = {
        **meta,
        "labels": {**meta["labels"], **labels},
        "annotations": {**meta.get("annotations", {}), TOTAL: str(total)},
    }
    return {**pod, "metadata": meta, "spec": {**pod["spec"], "schedulingGates": [{"name": GATE}]}}

"""What Kueue's integration of pod groups needs: a job with a queue waits until it is admitted.

A job names its queue as every workload of Kueue's does, by a label. All its pods are one group, so
that they are admitted together; they start gated, also where Kueue's webhook does not answer.
"""

from __future__ import annotations

from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import Body

QUEUE = "kueue.x-k8s.io/queue-name"
GROUP = "kueue.x-k8s.io/pod-group-name"
MANAGED = "kueue.x-k8s.io/managed"
TOTAL = "kueue.x-k8s.io/pod-group-total-count"
GATE = "kueue.x-k8s.io/admission"
"""The gate that Kueue takes away from a pod that it admits."""


def queue_of(job: FederatedJob) -> str:
    """The local queue that the job names; empty where it names none."""
    return job.metadata.labels.get(QUEUE, "")


def queued(pod: Body, job: FederatedJob, total: int) -> Body:
    """The pod as a member of the job's group of `total` pods; as it is where there is no queue."""
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

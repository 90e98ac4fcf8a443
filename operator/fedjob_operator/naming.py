"""Names, labels and annotations of everything the operator owns; none is spelled anywhere else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fedjob.spec.models.job import API_VERSION, KIND, FederatedJob

Body = dict[str, Any]
"""A Kubernetes object as JSON gives it."""
Key = tuple[str, str]
"""Namespace and name of a job."""

JOB = "fedjob.dev/job"
"""The job's name: on every child, and what the watches select."""
WORKER = "fedjob.dev/worker"
COMPONENT = "app.kubernetes.io/component"
SERVER = "server"
ORDINAL = "fedjob.dev/start"
"""Which start of its site a pod is, from 0."""
CONFIG = "fedjob.dev/config"
"""Hash of what a pod was started with: another one means another pod."""
DIGEST = "fedjob.dev/digest"
"""Hash of the object as we wrote it, so that dropped fields are noticed too."""
EXPIRES = "fedjob.dev/expires"
"""When a presigned URL ends, RFC 3339: known to an operator that starts later."""
KIT_SET = "fedjob.dev/kits"
"""Which set of startup kits a Secret belongs to: kits of two sets do not know each other."""
MANAGER = "fedjob-operator"
OPERATOR_LABELS = {"app.kubernetes.io/name": "fedjob-operator"}


def digest_of(value: object) -> str:
    """A short hash of anything JSON can hold; equal values give equal hashes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def labels_of(job: FederatedJob, worker: str = "", component: str = "") -> dict[str, str]:
    """The labels of a child of the job.

    Args:
        job: The owner.
        worker: `worker-<i>` for what belongs to one worker.
        component: `server` or `worker` for pods.
    """
    found = {
        JOB: job.metadata.name,
        "app.kubernetes.io/name": "fedjob",
        "app.kubernetes.io/instance": job.metadata.name,
        "app.kubernetes.io/managed-by": MANAGER,
    }
    if worker:
        found[WORKER] = worker
    if component:
        found[COMPONENT] = component
    return found


def metadata_of(
    job: FederatedJob,
    name: str,
    *,
    worker: str = "",
    component: str = "",
    annotations: Mapping[str, str] | None = None,
) -> Body:
    """Metadata of a child: owned by the job, so that the cluster deletes it with the job."""
    meta: Body = {
        "name": name,
        "namespace": job.metadata.namespace,
        "labels": labels_of(job, worker, component),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": job.metadata.name,
                "uid": job.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    if annotations:
        meta["annotations"] = dict(annotations)
    return meta


def sealed(body: Body) -> Body:
    """The object with the hash of itself as an annotation."""
    meta = dict(body["metadata"])
    meta["annotations"] = {**meta.get("annotations", {}), DIGEST: digest_of(body)}
    return {**body, "metadata": meta}


def annotation(body: Body, name: str) -> str:
    """An annotation's value; empty where it has none."""
    return str((body["metadata"].get("annotations") or {}).get(name, ""))


def owner_uid(body: Body) -> str | None:
    """The uid of the FederatedJob that controls the object; None where none does."""
    for reference in body["metadata"].get("ownerReferences") or []:
        if reference.get("controller") and reference.get("kind") == KIND:
            return str(reference.get("uid"))
    return None


def server_name(job: str) -> str:
    """The Service of the server, and the name in its certificate."""
    return f"{job}-server"


def worker_names(count: int) -> list[str]:
    """`worker-0` to `worker-<count-1>` (CONTRACT row 37)."""
    return [f"worker-{index}" for index in range(count)]


def pod_name(job: str, site: str, ordinal: int) -> str:
    """`<job>-<site>`, and `-r<n>` from the second start on."""
    return f"{job}-{site}" + (f"-r{ordinal}" if ordinal else "")


def kit_name(job: str, site: str) -> str:
    """The Secret of a site's startup kit; the sites are server, admin and the workers."""
    return f"{job}-kit-{site}"


def url_name(job: str, worker: str) -> str:
    """The Secret of a worker's presigned URL."""
    return f"{job}-url-{worker}"


def store_name(job: str) -> str:
    """The Secret with the store's keys, where they are the operator's."""
    return f"{job}-store"


def config_name(job: str) -> str:
    """The ConfigMap with server.json and a worker-<i>.json each."""
    return f"{job}-config"


def record_name(job: str) -> str:
    """The ConfigMap in which the operator remembers."""
    return f"{job}-record"


def policy_name(job: str, component: str) -> str:
    """The NetworkPolicy of the server or of the workers."""
    return f"{job}-{component}"

"""Names, labels and annotations of every object that the operator owns; spelled only here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from fedjob.spec.models.job import API_VERSION, KIND, FederatedJob

Body = dict[str, Any]
"""A Kubernetes object as JSON gives it."""
Key = tuple[str, str]
"""Namespace and name of a job."""

JOB = "fedjob.dev/job"
"""Label with the job's name: on every child; the watches select by it."""
WORKER = "fedjob.dev/worker"
COMPONENT = "app.kubernetes.io/component"
SERVER = "server"
ORDINAL = "fedjob.dev/start"
"""Annotation with the number of a pod within its slot, from 0."""
CONFIG = "fedjob.dev/config"
"""Annotation with the hash of a pod's configuration; a pod with another hash is replaced."""
CONFIG_PARTS = "fedjob.dev/config-parts"
"""Annotation with the hash of each part of that configuration, as JSON: shows what changed."""
DIGEST = "fedjob.dev/digest"
"""Annotation with the hash of the object as the operator wrote it: it shows dropped fields."""
EXPIRES = "fedjob.dev/expires"
"""Annotation with the expiry of a presigned URL (RFC 3339), for an operator that starts later."""
KIT_SET = "fedjob.dev/kits"
"""Annotation with the set of a startup kit: kits of two sets do not trust each other."""
MANAGER = "fedjob-operator"
OPERATOR_LABELS = {"app.kubernetes.io/name": "fedjob-operator"}


def digest_of(value: object) -> str:
    """A short hash of a JSON value; equal values have equal hashes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def labels_of(job: FederatedJob, worker: str = "", component: str = "") -> dict[str, str]:
    """The labels of a child of the job.

    Args:
        job: The job that owns it.
        worker: `worker-<i>` for objects of one worker.
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
    """Metadata of a child; the owner reference lets the cluster delete it with the job."""
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
    """The object with its own hash as an annotation."""
    meta = dict(body["metadata"])
    meta["annotations"] = {**meta.get("annotations", {}), DIGEST: digest_of(body)}
    return {**body, "metadata": meta}


def annotation(body: Body, name: str) -> str:
    """The value of an annotation; empty where the object has none."""
    return str((body["metadata"].get("annotations") or {}).get(name, ""))


def owner_uid(body: Body) -> str | None:
    """The uid of the FederatedJob that controls the object; None where none does."""
    for reference in body["metadata"].get("ownerReferences") or []:
        if reference.get("controller") and reference.get("kind") == KIND:
            return str(reference.get("uid"))
    return None


def server_name(job: str) -> str:
    """The server's Service, which is also the name in its certificate."""
    return f"{job}-server"


def worker_names(count: int) -> list[str]:
    """`worker-0` to `worker-<count-1>` (CONTRACT row 37)."""
    return [f"worker-{index}" for index in range(count)]


def pod_name(job: str, slot: str, ordinal: int) -> str:
    """`<job>-<slot>` for the first pod of a slot, then `<job>-<slot>-r<ordinal>`."""
    return f"{job}-{slot}" + (f"-r{ordinal}" if ordinal else "")


def kit_name(job: str, holder: str) -> str:
    """The Secret of a startup kit; its holder is `server`, `admin` or a worker."""
    return f"{job}-kit-{holder}"


def url_name(job: str, worker: str) -> str:
    """The Secret of a worker's presigned URL."""
    return f"{job}-url-{worker}"


def store_name(job: str) -> str:
    """The Secret with a copy of the operator's keys of the store."""
    return f"{job}-store"


def secret_names(job: str, workers: Iterable[str]) -> list[str]:
    """Every Secret that a job with these workers may own."""
    names = [store_name(job), pull_name(job), kit_name(job, SERVER), kit_name(job, "admin")]
    for worker in workers:
        names += [kit_name(job, worker), url_name(job, worker)]
    return names


def pull_name(job: str) -> str:
    """The Secret with which nodes pull the job's image from the operator's registry."""
    return f"{job}-pull"


def config_name(job: str) -> str:
    """The ConfigMap with server.json and one worker-<i>.json for each worker."""
    return f"{job}-config"


def record_name(job: str) -> str:
    """The ConfigMap with the operator's record of the job."""
    return f"{job}-record"


def policy_name(job: str, component: str) -> str:
    """The NetworkPolicy of the server or of the workers."""
    return f"{job}-{component}"

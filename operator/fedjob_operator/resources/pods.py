"""The pods: one server, one worker a shard. They fit Pod Security `restricted` as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fedjob.spec.models.job import FederatedJob
from fedjob.spec.models.placement import Placement, amount
from fedjob_operator.naming import (
    CONFIG as CONFIG_HASH,
)
from fedjob_operator.naming import (
    ORDINAL,
    SERVER,
    Body,
    config_name,
    kit_name,
    metadata_of,
    pod_name,
    store_name,
    url_name,
)
from fedjob_operator.resources.paths import (
    ADMIN_KIT,
    CONFIG,
    HOME,
    KIT,
    URL,
    server_file,
    worker_file,
)
from fedjob_operator.resources.ports import FL_PORT, HTTP_PORT
from fedjob_operator.state.observed import Defaults

USER = 10001
GPU = "nvidia.com/gpu"
UNREACHABLE_SECONDS = 30
SERVER_GRACE = 15
"""Seconds to drain: a commit under way is finished."""
WORKER_GRACE = 5
WORKER = "worker"
CONTAINER = "main"

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def server_pod(
    job: FederatedJob, image: str, ordinal: int, config: str, defaults: Defaults
) -> Body:
    """The server.

    Args:
        job: The owner.
        image: `repository@sha256:...`.
        ordinal: Which start it is.
        config: Hash of what it is started with.
        defaults: The operator's choices.
    """
    name = job.metadata.name
    ref = job.spec.storage.secret_ref
    keys = store_name(name) if ref is None else ref.name
    probe = {"httpGet": {"path": "/healthz", "port": HTTP_PORT}, "timeoutSeconds": 5}
    container = {
        "command": ["tini", "--", "fedjob-server", "--config", f"{CONFIG}/{server_file()}"],
        "env": [*_environment(job.spec.server, defaults), *(_key(keys, key) for key in _KEYS)],
        "ports": [
            {"name": "fl", "containerPort": FL_PORT, "protocol": "TCP"},
            {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": {**probe, "periodSeconds": 2},
        # It is started anew when its loop has stood still for minutes, never for being slow.
        "livenessProbe": {
            **probe,
            "initialDelaySeconds": 60,
            "periodSeconds": 30,
            "failureThreshold": 5,
        },
        "resources": _resources(job.spec.server, defaults),
    }
    volumes = [
        ("config", _config_item(name, server_file()), CONFIG),
        ("kit", _secret(kit_name(name, SERVER)), KIT),
        ("admin", _secret(kit_name(name, "admin")), ADMIN_KIT),
    ]
    return _pod(
        job, SERVER, SERVER, image, ordinal, config, defaults, job.spec.server, container, volumes,
        SERVER_GRACE,
    )  # fmt: skip


def worker_pod(
    job: FederatedJob,
    worker: str,
    image: str,
    ordinal: int,
    config: str,
    defaults: Defaults,
    *,
    gpus: bool,
) -> Body:
    """One worker; `gpus` says whether it gets the GPUs that it asks for, or trains on CPUs."""
    name, spec = job.metadata.name, job.spec.workers
    resources = _resources(spec, defaults)
    if gpus and spec.gpu:
        # A GPU is requested by its limit; NVIDIA's runtime sets what the container sees of it.
        resources["limits"] = {**resources.get("limits", {}), GPU: str(spec.gpu)}
    container = {
        "command": ["tini", "--", "fedjob-worker", "--config", f"{CONFIG}/{worker_file(worker)}"],
        "env": _environment(spec, defaults),
        "resources": resources,
    }
    volumes = [
        ("config", _config_item(name, worker_file(worker)), CONFIG),
        ("kit", _secret(kit_name(name, worker)), KIT),
        ("url", _secret(url_name(name, worker)), URL),
        # torch's data loaders share memory, of which a container has 64 MiB otherwise.
        ("shm", {"emptyDir": {"medium": "Memory"}}, "/dev/shm"),  # noqa: S108 (the pod's own)
    ]
    return _pod(
        job, worker, WORKER, image, ordinal, config, defaults, spec, container, volumes,
        WORKER_GRACE,
    )  # fmt: skip


def _pod(
    job: FederatedJob,
    site: str,
    component: str,
    image: str,
    ordinal: int,
    config: str,
    defaults: Defaults,
    placement: Placement,
    container: Body,
    volumes: Sequence[tuple[str, Body, str]],
    grace: int,
) -> Body:
    pulls = dict.fromkeys([*job.spec.image.pull_secrets, *defaults.pull_secrets])
    mounts = [{"name": n, "mountPath": p, "readOnly": "emptyDir" not in v} for n, v, p in volumes]
    meta = metadata_of(
        job,
        pod_name(job.metadata.name, site, ordinal),
        worker="" if component == SERVER else site,
        component=component,
        annotations={ORDINAL: str(ordinal), CONFIG_HASH: config},
    )
    spec: Body = {
        "restartPolicy": "OnFailure",
        "terminationGracePeriodSeconds": grace,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [
            *(
                {
                    "key": f"node.kubernetes.io/{condition}",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": UNREACHABLE_SECONDS,
                }
                for condition in ("unreachable", "not-ready")
            ),
            *(t.model_dump(by_alias=True, exclude_none=True) for t in placement.tolerations),
        ],
        "containers": [
            {
                "name": CONTAINER,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                # The end of its log is what is known of a container that failed.
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                **container,
                "volumeMounts": [{"name": "work", "mountPath": HOME}, *mounts],
            }
        ],
        "volumes": [
            {"name": "work", "emptyDir": {}},
            *({"name": n, **v} for n, v, _ in volumes),
        ],
    }
    if placement.node_selector:
        spec["nodeSelector"] = dict(placement.node_selector)
    if placement.runtime_class_name:
        spec["runtimeClassName"] = placement.runtime_class_name
    if placement.priority_class_name:
        spec["priorityClassName"] = placement.priority_class_name
    if pulls:
        spec["imagePullSecrets"] = [{"name": pull} for pull in pulls]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def _environment(placement: Placement, defaults: Defaults) -> list[Body]:
    # Without it torch starts a thread for each core of the node, in every pod on it.
    threads = str(max(1, math.floor(_cores(placement, defaults))))
    values = {"HOME": HOME, "TMPDIR": HOME, "OMP_NUM_THREADS": threads}
    return [{"name": name, "value": value} for name, value in values.items()]


def _cores(placement: Placement, defaults: Defaults) -> float:
    for amounts in (placement.resources.limits, placement.resources.requests):
        if amounts is not None and amounts.cpu is not None:
            return float(amount(amounts.cpu))
    return float(amount(defaults.cpu))


def _resources(placement: Placement, defaults: Defaults) -> dict[str, Any]:
    given: dict[str, dict[str, str]] = placement.resources.model_dump(
        by_alias=True, exclude_none=True
    )
    limits = given.get("limits", {})
    # A limit alone is its own request; only where there is neither does the operator choose.
    chosen = {"cpu": defaults.cpu, "memory": defaults.memory}
    missing = {name: value for name, value in chosen.items() if name not in limits}
    return {**given, "requests": {**missing, **given.get("requests", {})}}


def _key(secret: str, key: str) -> Body:
    reference = {"name": secret, "key": key, "optional": key == "AWS_SESSION_TOKEN"}
    return {"name": key, "valueFrom": {"secretKeyRef": reference}}


def _config_item(job: str, file: str) -> Body:
    items = [{"key": file, "path": file}]
    return {"configMap": {"name": config_name(job), "items": items, "defaultMode": 0o444}}


def _secret(name: str) -> Body:
    return {"secret": {"secretName": name, "defaultMode": 0o440}}

"""The pods: one server, and one worker for each shard. They satisfy Pod Security `restricted`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedjob.spec.models.job import FederatedJob
from fedjob.spec.models.placement import Placement, amount
from fedjob_operator.naming import (
    CONFIG as CONFIG_HASH,
)
from fedjob_operator.naming import (
    CONFIG_PARTS,
    ORDINAL,
    SERVER,
    Body,
    config_name,
    kit_name,
    metadata_of,
    pod_name,
    pull_name,
    store_name,
    url_name,
)
from fedjob_operator.resources.pod_config import PodConfig
from fedjob_operator.resources.pod_contract import (
    ADMIN_KIT,
    CONFIG,
    ENV_KEEP_LOG,
    ENV_LOG_FORM,
    FEDERATION,
    FL_PORT,
    HANDOVER,
    HOME,
    HTTP_PORT,
    KIT,
    ORDERS,
    REPORTS,
    SERVER_FILE,
    SHARED_GROUP,
    SHARED_MEMORY,
    STORE_KEYS,
    SUPERVISOR,
    SUPERVISOR_USER,
    URL,
    USER,
    log_form_file,
    worker_file,
)
from fedjob_operator.resources.secrets import needs_pull_secret
from fedjob_operator.state.observed import Defaults

GPU = "nvidia.com/gpu"
UNREACHABLE_SECONDS = 30
"""How long a pod stays on a node that is unreachable or not ready."""
SERVER_GRACE = 15
"""Seconds in which a stopping server finishes a commit that is under way."""
WORKER_GRACE = 5
WORKER = "worker"
CONTAINER = "main"
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PodStart:
    """One start of a pod.

    Attributes:
        image: `repository@sha256:...`.
        ordinal: Number of the pod within its slot, from 0.
        config: What it is started with.
        supervisor: Image of a server's supervisor; empty: the operator's runtime image now.
    """

    image: str
    ordinal: int
    config: PodConfig
    supervisor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What differs between the server's pod and a worker's.

    Attributes:
        slot: `server` or a worker.
        component: Value of the component label.
        placement: The spec's section of the pod.
        container: Fields of the container.
        volumes: Name, volume source and mount path of each volume.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    slot: str
    component: str
    placement: Placement
    container: Body
    volumes: Sequence[tuple[str, Body, str]]
    grace: int


def server_pod(job: FederatedJob, start: PodStart, defaults: Defaults) -> Body:
    """The server's pod: the supervisor, and beside it the federation, which runs NVFlare.

    Only the supervisor gets the store's keys, and it runs the operator's own image; only the
    federation runs the author's code, in the job's image and as another user. It is a sidecar
    (an init container that is kept running): it starts first, ends last, is restarted alone, and
    the pod has succeeded when the supervisor has, whatever the author's code does.

    Args:
        job: The job that owns it.
        start: Image, ordinal and configuration.
        defaults: The operator's settings for jobs.
    """
    name, spec = job.metadata.name, job.spec.server
    ref = job.spec.storage.secret_ref
    keys = store_name(name) if ref is None else ref.name
    probe = {"httpGet": {"path": "/healthz", "port": HTTP_PORT}, "timeoutSeconds": 5}
    config = ("config", _config_item(name, SERVER_FILE), CONFIG)
    options = ["--config", f"{CONFIG}/{SERVER_FILE}", "--handover", HANDOVER]
    keep_log = {"name": ENV_KEEP_LOG, "value": "true"}
    federation = {
        "command": ["tini", "--", "fedjob-server-agent", *options],
        "env": [*_environment(spec, defaults), keep_log],
        "ports": [{"name": "fl", "containerPort": FL_PORT, "protocol": "TCP"}],
        "resources": _resources(spec, defaults),
    }
    supervisor = {
        "command": ["tini", "--", "fedjob-server", *options],
        "env": [
            *({"name": variable, "value": HOME} for variable in ("HOME", "TMPDIR")),
            # The job's image, which stands in where the operator has none, has the author's files.
            {"name": "PYTHONPATH", "value": ""},
            keep_log,
            *(_key(keys, key) for key in STORE_KEYS),
        ],
        "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
        "readinessProbe": {**probe, "periodSeconds": 2},
        # Restart a server whose loop has stood still for minutes, never one that is only slow.
        "livenessProbe": {
            **probe,
            "initialDelaySeconds": 60,
            "periodSeconds": 30,
            "failureThreshold": 5,
        },
        "resources": _supervisor_resources(defaults),
    }
    volumes = [
        config,
        ("kit", _secret(kit_name(name, SERVER)), KIT),
        ("admin", _secret(kit_name(name, "admin")), ADMIN_KIT),
    ]
    shape = _Shape(
        slot=SERVER,
        component=SERVER,
        placement=spec,
        container=federation,
        volumes=volumes,
        grace=SERVER_GRACE,
    )
    supervisor["image"] = start.supervisor or defaults.runtime_image or start.image
    return _supervised(_pod(job, shape, start, defaults), supervisor, size=defaults.work_size)


def _supervised(pod: Body, supervisor: Body, *, size: str) -> Body:
    """The pod of a federation, with the supervisor as its main container."""
    pod["metadata"]["annotations"][DEFAULT_CONTAINER] = SUPERVISOR
    spec = pod["spec"]
    [federation] = spec["containers"]
    users = {name: spec["securityContext"].pop(name) for name in ("runAsUser", "runAsGroup")}
    spec["securityContext"]["fsGroup"] = SHARED_GROUP
    orders, reports = (
        {"name": each, "mountPath": f"{HANDOVER}/{each}"} for each in (ORDERS, REPORTS)
    )
    spec["initContainers"] = [
        {
            **federation,
            "name": FEDERATION,
            "restartPolicy": "Always",
            "securityContext": {**_SECURITY, **users},
            "volumeMounts": [*federation["volumeMounts"], {**orders, "readOnly": True}, reports],
        }
    ]
    spec["containers"] = [
        {
            **federation,
            **supervisor,
            "name": SUPERVISOR,
            "securityContext": {
                **_SECURITY,
                "runAsUser": SUPERVISOR_USER,
                "runAsGroup": SUPERVISOR_USER,
            },
            "volumeMounts": [
                {"name": "own", "mountPath": HOME},
                {"name": "config", "mountPath": CONFIG, "readOnly": True},
                orders,
                {**reports, "readOnly": True},
            ],
        }
    ]
    folder = {"emptyDir": {"sizeLimit": size}}
    spec["volumes"] += [{"name": name, **folder} for name in ("own", ORDERS, REPORTS)]
    return pod


def worker_pod(
    job: FederatedJob, worker: str, start: PodStart, defaults: Defaults, *, gpus: bool
) -> Body:
    """A worker's pod.

    Args:
        job: The job that owns it.
        worker: Name of the worker.
        start: Image, ordinal and configuration.
        defaults: The operator's settings for jobs.
        gpus: Whether it gets the GPUs that the spec asks for; otherwise it trains on CPUs.
    """
    name, spec = job.metadata.name, job.spec.workers
    resources = _resources(spec, defaults)
    if gpus and spec.gpu:
        # A GPU is requested by its limit; NVIDIA's runtime decides which devices are visible.
        resources["limits"] = {**resources["limits"], GPU: str(spec.gpu)}
    container = {
        "command": ["tini", "--", "fedjob-worker", "--config", f"{CONFIG}/{worker_file(worker)}"],
        "env": [
            *_environment(spec, defaults),
            {"name": ENV_LOG_FORM, "value": f"{URL}/{log_form_file(start.ordinal)}"},
        ],
        "resources": resources,
    }
    volumes = [
        ("config", _config_item(name, worker_file(worker)), CONFIG),
        ("kit", _secret(kit_name(name, worker)), KIT),
        ("url", _secret(url_name(name, worker)), URL),
        # torch's data loaders share memory; a container has only 64 MiB of it by default.
        ("shm", _shared_memory(resources["limits"]["memory"]), SHARED_MEMORY),
    ]
    shape = _Shape(
        slot=worker,
        component=WORKER,
        placement=spec,
        container=container,
        volumes=volumes,
        grace=WORKER_GRACE,
    )
    return _pod(job, shape, start, defaults)


def _pod(job: FederatedJob, shape: _Shape, start: PodStart, defaults: Defaults) -> Body:
    slot, placement = shape.slot, shape.placement
    images = [start.image]
    if shape.component == SERVER:
        images.append(start.supervisor or defaults.runtime_image)
    own = any(needs_pull_secret(image, defaults.pull_login) for image in images)
    pulls = dict.fromkeys(
        [
            *job.spec.image.pull_secrets,
            *defaults.pull_secrets,
            *([pull_name(job.metadata.name)] if own else []),
        ]
    )
    mounts = [
        {"name": name, "mountPath": path, "readOnly": "emptyDir" not in volume}
        for name, volume, path in shape.volumes
    ]
    meta = metadata_of(
        job,
        pod_name(job.metadata.name, slot, start.ordinal),
        worker="" if shape.component == SERVER else slot,
        component=shape.component,
        annotations={
            ORDINAL: str(start.ordinal),
            CONFIG_HASH: start.config.digest,
            CONFIG_PARTS: json.dumps(start.config.part_digests, sort_keys=True),
        },
    )
    spec: Body = {
        "restartPolicy": "OnFailure",
        "terminationGracePeriodSeconds": shape.grace,
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
                "image": start.image,
                "imagePullPolicy": "IfNotPresent",
                # The end of the log of a failed container becomes its termination message.
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": dict(_SECURITY),
                **shape.container,
                "volumeMounts": [{"name": "work", "mountPath": HOME}, *mounts],
            }
        ],
        "volumes": [
            {"name": "work", "emptyDir": {"sizeLimit": defaults.work_size}},
            *({"name": n, **v} for n, v, _ in shape.volumes),
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
    # Without OMP_NUM_THREADS every pod starts one torch thread for each core of the node.
    threads = str(max(1, math.floor(_cores(placement, defaults))))
    values = {"HOME": HOME, "TMPDIR": HOME, "OMP_NUM_THREADS": threads}
    return [{"name": name, "value": value} for name, value in values.items()]


def _cores(placement: Placement, defaults: Defaults) -> float:
    for amounts in (placement.resources.limits, placement.resources.requests):
        if amounts is not None and amounts.cpu is not None:
            return float(amount(amounts.cpu))
    return float(amount(defaults.cpu))


def _supervisor_resources(defaults: Defaults) -> dict[str, Any]:
    """The operator's choice: the author chooses only those of the federation."""
    memory = defaults.supervisor_memory
    return {
        "requests": {"cpu": defaults.supervisor_cpu, "memory": memory},
        "limits": {"memory": max((defaults.supervisor_memory_limit, memory), key=amount)},
    }


def _resources(placement: Placement, defaults: Defaults) -> dict[str, Any]:
    given: dict[str, dict[str, str]] = placement.resources.model_dump(
        by_alias=True, exclude_none=True
    )
    limits = given.get("limits", {})
    requests = given.get("requests", {})
    # Kubernetes takes a limit as the request; the operator chooses where there is neither.
    chosen = {"cpu": defaults.cpu, "memory": defaults.memory}
    missing = {name: value for name, value in chosen.items() if name not in limits}
    chosen_limit = max((defaults.memory_limit, requests.get("memory", defaults.memory)), key=amount)
    return {
        "requests": {**missing, **requests},
        "limits": {"memory": chosen_limit, **limits},
    }


def _shared_memory(limit: str) -> Body:
    # Its pages count against the container's memory limit, so more would never fit.
    return {"emptyDir": {"medium": "Memory", "sizeLimit": limit}}


def _key(secret: str, key: str) -> Body:
    reference = {"name": secret, "key": key, "optional": key == STORE_KEYS[-1]}
    return {"name": key, "valueFrom": {"secretKeyRef": reference}}


def _config_item(job: str, file: str) -> Body:
    items = [{"key": file, "path": file}]
    return {"configMap": {"name": config_name(job), "items": items, "defaultMode": 0o444}}


def _secret(name: str) -> Body:
    return {"secret": {"secretName": name, "defaultMode": 0o440}}

"""The objects that a prepared job should have, and how an existing one differs from that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import DIGEST, Body, annotation
from fedjob_operator.planning.pod_lifecycle import SlotPlan
from fedjob_operator.planning.store_location import location_of
from fedjob_operator.resources.configmaps import config_map
from fedjob_operator.resources.kueue import queued
from fedjob_operator.resources.network_policies import server_policy, worker_policy
from fedjob_operator.resources.pod_config import PodConfig
from fedjob_operator.resources.pods import PodStart, server_pod, worker_pod
from fedjob_operator.resources.secrets import needs_pull_secret, pull_secret, store_secret
from fedjob_operator.resources.services import service
from fedjob_operator.state.observed import ChildKey, Defaults
from fedjob_operator.state.record import Prepared


def fixed_children(
    job: FederatedJob, prepared: Prepared, defaults: Defaults, *, gpus: bool
) -> list[Body]:
    """Every object except the pods and the Secrets that stages prepare."""
    store = location_of(job, defaults)
    bodies = [service(job), config_map(job, prepared, store, gpus=gpus)]
    if defaults.policies:
        https = any(shard.https for shard in prepared.workers)
        bodies += [
            server_policy(job, store, defaults),
            worker_policy(job, store, defaults, https=https),
        ]
    if job.spec.storage.secret_ref is None:
        bodies.append(store_secret(job, defaults.keys))
    images = [defaults.runtime_image]
    if prepared.image is not None:
        images += [prepared.image.reference, prepared.image.supervisor]
    if any(needs_pull_secret(image, defaults.pull_login) for image in images):
        bodies.append(pull_secret(job, defaults.pull_login))
    return bodies


def new_pods(
    job: FederatedJob,
    prepared: Prepared,
    defaults: Defaults,
    *,
    kit_set: str,
    server: SlotPlan,
    workers: Mapping[str, SlotPlan],
    gpus: bool,
) -> list[Body]:
    """The pods that the plans of the slots create now."""
    image = prepared.image.reference if prepared.image is not None else ""
    supervisor = prepared.image.supervisor if prepared.image is not None else ""
    pods: list[Body] = []
    if server.create is not None:
        config = server_pod_config(job, prepared, kit_set)
        start = PodStart(image=image, ordinal=server.create, config=config, supervisor=supervisor)
        pods.append(server_pod(job, start, defaults))
    for index, (name, plan) in enumerate(workers.items()):
        if plan.create is not None:
            config = worker_pod_config(job, prepared, index, kit_set, gpus=gpus)
            start = PodStart(image=image, ordinal=plan.create, config=config)
            pods.append(worker_pod(job, name, start, defaults, gpus=gpus))
    return [queued(pod, job, 1 + len(workers)) for pod in pods]


def server_pod_config(job: FederatedJob, prepared: Prepared, kit_set: str) -> PodConfig:
    """What the server is started with; limits that only the operator reads are left out."""
    return PodConfig(
        {
            "the job's inputs": prepared.made_from,
            "the number of classes": prepared.num_classes,
            "the startup kits": kit_set,
            "spec.server": job.spec.server.model_dump(mode="json"),
        }
    )


def worker_pod_config(
    job: FederatedJob, prepared: Prepared, index: int, kit_set: str, *, gpus: bool
) -> PodConfig:
    """What a worker is started with; a change of numRounds does not restart it."""
    own = job.spec.workers.model_dump(mode="json", exclude={"max_restarts", "gpu_fallback"})
    if own["keep_files"] is None:
        del own["keep_files"]  # pods of an operator that did not know it stay
    return PodConfig(
        {
            "its shard": prepared.workers[index].model_dump(mode="json"),
            "spec.training.manifestFile": job.spec.training.manifest_file,
            "the startup kits": kit_set,
            "spec.workers": own,
            "the use of GPUs": gpus,
        }
    )


def key_of(body: Body) -> ChildKey:
    """Kind and name."""
    return body["kind"], body["metadata"]["name"]


def drifted(want: Body, have: Body | None) -> tuple[bool, str]:
    """Whether an existing object differs from the wanted one, and where.

    Fields that others added are ignored. A field that the operator stopped setting counts too: the
    hash of the object as it was written shows it.

    Returns:
        Whether it differs, and the path of the first field that does; never its value, which may
        be secret. False and an empty text where the object does not exist.
    """
    if have is None:
        return False, ""
    path = _difference(want, have)
    if path is not None:
        return True, f"{path} differs"
    if annotation(want, DIGEST) != annotation(have, DIGEST):
        return True, "a field was set before and should be absent"
    return False, ""


def _difference(want: Any, have: Any, path: str = "") -> str | None:
    """Path of the first field of `want` that `have` lacks or has another value for."""
    if isinstance(want, dict):
        if not isinstance(have, dict):
            return path
        for key, value in want.items():
            if key == DIGEST:
                continue
            inner = f"{path}.{key}" if path else str(key)
            if key not in have:
                return inner
            found = _difference(value, have[key], inner)
            if found is not None:
                return found
        return None
    if isinstance(want, list):
        if not isinstance(have, list) or len(want) != len(have):
            return path
        pairs = enumerate(zip(want, have, strict=True))
        found_in = (_difference(w, h, f"{path}[{index}]") for index, (w, h) in pairs)
        return next((found for found in found_in if found is not None), None)
    return None if bool(want == have) else path

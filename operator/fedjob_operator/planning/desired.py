"""What a prepared job wants to have in its namespace. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import Body, digest_of
from fedjob_operator.planning.pod_lifecycle import SlotPlan
from fedjob_operator.planning.store_location import location_of
from fedjob_operator.resources.configmaps import config_map
from fedjob_operator.resources.kueue import queued
from fedjob_operator.resources.network_policies import server_policy, worker_policy
from fedjob_operator.resources.pods import server_pod, worker_pod
from fedjob_operator.resources.secrets import store_secret
from fedjob_operator.resources.services import service
from fedjob_operator.state.observed import Defaults
from fedjob_operator.state.record import Prepared


def fixed_children(
    job: FederatedJob, prepared: Prepared, defaults: Defaults, *, gpus: bool
) -> list[Body]:
    """Everything beside the pods and the prepared Secrets."""
    store = location_of(job, defaults)
    bodies = [service(job), config_map(job, prepared, store, gpus=gpus)]
    if defaults.policies:
        https = any(shard.https for shard in prepared.workers)
        bodies += [server_policy(job, store, defaults), worker_policy(job, store, https=https)]
    if job.spec.storage.secret_ref is None:
        bodies.append(store_secret(job, defaults.keys))
    return bodies


def new_pods(
    job: FederatedJob,
    prepared: Prepared,
    kit_set: str,
    server: SlotPlan,
    workers: Mapping[str, SlotPlan],
    defaults: Defaults,
    *,
    gpus: bool,
) -> list[Body]:
    """The pods that the sites' plans ask for."""
    image = prepared.image.reference if prepared.image is not None else ""
    pods: list[Body] = []
    if server.create is not None:
        config = server_config_hash(job, prepared, kit_set)
        pods.append(server_pod(job, image, server.create, config, defaults))
    for index, (name, site) in enumerate(workers.items()):
        if site.create is not None:
            config = worker_config_hash(job, prepared, index, kit_set, gpus=gpus)
            pods.append(worker_pod(job, name, image, site.create, config, defaults, gpus=gpus))
    return [queued(pod, job, 1 + len(workers)) for pod in pods]


def server_config_hash(job: FederatedJob, prepared: Prepared, kit_set: str) -> str:
    """Of what the server is started with; limits that only the operator reads are left out."""
    own = job.spec.server.model_dump(mode="json")
    return digest_of([prepared.made_from, prepared.num_classes, kit_set, own])


def worker_config_hash(
    job: FederatedJob, prepared: Prepared, index: int, kit_set: str, *, gpus: bool
) -> str:
    """Of what a worker is started with; more rounds are no reason to start it anew."""
    own = job.spec.workers.model_dump(mode="json", exclude={"max_restarts", "gpu_fallback"})
    shard = prepared.workers[index].model_dump(mode="json")
    return digest_of([shard, job.spec.training.manifest_file, kit_set, own, gpus])

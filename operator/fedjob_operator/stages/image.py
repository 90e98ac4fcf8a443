"""The image stage: turns a job and the operator's settings into a request to the image builders."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from fedjob.errors import Fault, InvalidInputError
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.image.builder import ensure_image
from fedjob_operator.image.credentials import merge_docker_configs
from fedjob_operator.image.reference import Reference, canonical_registry
from fedjob_operator.image.request import ImageRequest
from fedjob_operator.kube.built_images import BuiltImages, ImageRecord
from fedjob_operator.kube.client import Cluster
from fedjob_operator.planning.preparation import image_digest
from fedjob_operator.settings import Settings
from fedjob_operator.stage_run import run_blocking
from fedjob_operator.stages.errors import InputError
from fedjob_operator.state.record import PreparedImage

ANY_REGISTRY = "*"
"""The entry of the allowed registries that stands for all of them."""


async def build_image(
    cluster: Cluster,
    job: FederatedJob,
    files: dict[str, bytes],
    settings: Settings,
    record: ImageRecord,
) -> PreparedImage:
    """Finds or builds the job's image.

    Args:
        cluster: Reads pull Secrets.
        job: The job.
        files: The job folder: content by path.
        settings: The operator's settings.
        record: The images that were built so far; gets this one.

    Raises:
        InputError: Base or repository is missing or not allowed, or a pull Secret cannot be used.
        ImageError: The registry or the build failed.
    """
    spec = job.spec.image
    base = spec.base or settings.base_image
    repository = spec.repository or _own_repository(job, settings)
    faults = [
        Fault(
            f"spec.image.{name}",
            "is missing, and the operator has no default for it",
            f"set spec.image.{name}, or configure a default for the operator",
        )
        for name, value in (("base", base), ("repository", repository))
        if not value
    ]
    if spec.base and not settings.base_image and job.spec.storage.secret_ref is None:
        # The job's image must not get the operator's keys.
        problem = "is missing, and the operator has no runtime image for the job's supervisor"
        fix = "name the job's own store keys, or configure a runtime image for the operator"
        faults.append(Fault("spec.storage.secretRef", problem, fix))
    # Those of a requirements.txt among the model's files are there too.
    requirements = tuple(files.get("requirements.txt", b"").decode().splitlines())
    if requirements and spec.builder == "append":
        problem = "append adds one layer and cannot install the requirements of requirements.txt"
        fix = "write spec.image.builder: docker, or leave it out"
        faults.append(Fault("spec.image.builder", problem, fix))
    if faults:
        raise InputError(Reason.SPEC_INVALID, InvalidInputError(faults))
    refused = list(registry_faults(job, base, repository, settings))
    if refused:
        raise InputError(Reason.REGISTRY_NOT_ALLOWED, InvalidInputError(refused))
    secrets = await pull_configs(cluster, job)
    default = await run_blocking(_read, settings.registry_config)
    documents = list(secrets.values())
    builder = spec.builder or ("docker" if requirements else "append")
    built = await record.load() if builder == "docker" else BuiltImages()
    names = [f"Secret {job.metadata.namespace}/{name}" for name in secrets]
    result = await ensure_image(
        ImageRequest(
            base=base,
            repository=repository,
            files=files,
            requirements=requirements,
            builder=builder,
            pull_secret=merge_docker_configs(documents) if documents else None,
            ca_pem=await run_blocking(_read, settings.registry_ca) or None,
            insecure=settings.registry_insecure,
            base_insecure=settings.registry_insecure
            if settings.base_insecure is None
            else settings.base_insecure,
            secret_name=", ".join(names),
            operator_config=default or None,
            operator_repositories=_operator_repositories(job, settings),
            hosts=frozenset(settings.allowed_registries),
            supervisor=settings.base_image,
            built=built,
        )
    )
    if builder == "docker" and not result.cache_hit:
        await record.save()
    return PreparedImage(
        reference=result.reference,
        digest=result.digest,
        cache_hit=result.cache_hit,
        seconds=result.seconds,
        made_from=image_digest(job),
        supervisor=result.supervisor,
    )


def registry_faults(
    job: FederatedJob, base: str, repository: str, settings: Settings
) -> Iterator[Fault]:
    """Registries and repositories that the job may not use.

    Args:
        job: The job.
        base: Reference of its base image.
        repository: Repository of its image.
        settings: What the operator allows.

    Raises:
        ImageRequestInvalidError: One cannot be parsed.
    """
    ask = "ask the operator's owner to list it in builds.allowedRegistries"
    own = _setting(settings.base_image), _setting(settings.repository)
    known = {
        *map(canonical_registry, settings.allowed_registries),
        *(reference.registry for reference in own if reference is not None),
    }
    everything = ANY_REGISTRY in settings.allowed_registries
    source = Reference.parse(base, "spec.image.base")
    target = Reference.parse(repository, "spec.image.repository")
    for field, reference in (("spec.image.base", source), ("spec.image.repository", target)):
        if reference.registry not in known and not everything:
            problem = f"the operator does not use the registry {reference.registry}"
            yield Fault(field, problem, f"leave it out for the operator's own, or {ask}")
    shared = own[1]
    if shared is None or not target.is_within(shared.name):
        return
    namespaces = f"{shared.name}/{job.metadata.namespace}"
    if not target.is_within(namespaces):
        problem = f"{target.name} holds images of other namespaces"
        yield Fault("spec.image.repository", problem, f"leave it out, or write {namespaces}")


def _setting(text: str) -> Reference | None:
    return Reference.parse(text, "the operator's settings") if text else None


def _own_repository(job: FederatedJob, settings: Settings) -> str:
    return f"{settings.repository}/{job.metadata.namespace}" if settings.repository else ""


def _operator_repositories(job: FederatedJob, settings: Settings) -> frozenset[str]:
    """What the operator's own credentials are for."""
    both = _setting(_own_repository(job, settings)), _setting(settings.base_image)
    return frozenset(reference.name for reference in both if reference is not None)


async def pull_configs(cluster: Cluster, job: FederatedJob) -> dict[str, str]:
    """The docker config JSON of the job's pull Secrets, by name.

    Raises:
        InputError: A Secret does not exist or has another type.
    """
    namespace = job.metadata.namespace
    found: dict[str, str] = {}
    faults = []
    for name in job.spec.image.pull_secrets:
        secret = await cluster.get("v1", "Secret", namespace, name)
        text = ((secret or {}).get("data") or {}).get(".dockerconfigjson")
        if text is None:
            what = "does not exist" if secret is None else "has no .dockerconfigjson"
            fix = f"create it: kubectl -n {namespace} create secret docker-registry {name} ..."
            problem = f"Secret {namespace}/{name} {what}"
            faults.append(Fault("spec.image.pullSecrets", problem, fix))
        else:
            found[name] = base64.b64decode(text).decode()
    if faults:
        raise InputError(Reason.REGISTRY_REFUSED, InvalidInputError(faults))
    return found


def _read(path: str) -> str:
    return Path(path).read_text() if path else ""

"""The inputs stage: reads and checks what a job refers to, and renders the job folder."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fedjob.errors import Fault, InvalidInputError
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob.workspace.classes import class_count, resolve_num_classes
from fedjob.workspace.hints import job_hints, missing_module
from fedjob.workspace.manifest_use import for_classes, manifest_use, style_faults
from fedjob.workspace.render import render_job_folder
from fedjob.workspace.requirements.lines import all_requirements
from fedjob.workspace.shard.archive import ShardInfo
from fedjob.workspace.source.check import check_model
from fedjob.workspace.source.model_file import SourceInfo
from fedjob_operator.kube.client import Cluster
from fedjob_operator.naming import worker_names
from fedjob_operator.planning.preparation import inputs_digest
from fedjob_operator.planning.store_access import split_uri
from fedjob_operator.stage_run import run_blocking
from fedjob_operator.stages.errors import InputError
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.stages.model_files import ModelInputs, read_model
from fedjob_operator.stages.shards import FoundShard, find_shards, inspect_all
from fedjob_operator.state.record import Prepared, ShardPlace

MOST_HINTS = 20
LONGEST_HINT = 300
"""Characters: a hint of every shard must fit into the job's record and a condition's message."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The checked inputs of a job.

    Attributes:
        prepared: The results for the pods, still without workspace and image.
        files: The job folder: content by path.
        copies: Objects to copy into the job's bucket: target key to (bucket, key).
    """

    prepared: Prepared
    files: dict[str, bytes] = field(repr=False)
    copies: dict[str, tuple[str, str]]


async def read_inputs(
    cluster: Cluster,
    job: FederatedJob,
    store: JobStore,
    inspecting: AbstractAsyncContextManager[None] | None = None,
) -> Inputs:
    """Reads and checks everything that the job refers to.

    Args:
        cluster: Reads ConfigMaps.
        job: The job.
        store: The job's store.
        inspecting: Entered while shards are inspected, which takes memory; None: at once.

    Raises:
        FedjobError: With a reason; all faults of one kind at once.
    """
    author = await read_model(cluster, job, store)
    info, found = await run_blocking(_check, job, author, store)
    use, validation = manifest_use(job, info), job.spec.shards.validation
    async with inspecting or nullcontext():
        shards = await run_blocking(
            inspect_all,
            found,
            job.spec.training.manifest_file,
            store.bucket,
            lambda name: use.needed_for(name, validation),
        )
    return await run_blocking(
        _make_inputs, job, author, store, info=info, found=found, shards=shards
    )


def _check(
    job: FederatedJob, author: ModelInputs, store: JobStore
) -> tuple[SourceInfo, list[FoundShard]]:
    """What the model file defines, and the job's shards."""
    model = job.spec.model
    info = check_model(
        author.source.text,
        author.files,
        class_name=model.class_name,
        train_function=model.train_function,
        requirements=_requirements(job, author),
    )
    return info, find_shards(job, store.layout, store.location.bucket, store.bucket)


def _requirements(job: FederatedJob, author: ModelInputs) -> list[str]:
    return [line.text for line in all_requirements(job.spec.model.requirements, author.files)]


def _make_inputs(
    job: FederatedJob,
    author: ModelInputs,
    store: JobStore,
    *,
    info: SourceInfo,
    found: list[FoundShard],
    shards: list[ShardInfo],
) -> Inputs:
    """Compares the shards with each other and the model, and renders the job folder."""
    model, training = job.spec.model, job.spec.training
    use, validation = manifest_use(job, info), job.spec.shards.validation
    summaries = [shard.manifest for shard in shards]
    needed = [
        s for f, s in zip(found, summaries, strict=True) if use.needed_for(f.name, validation)
    ]
    faults = list(style_faults([summary for summary in needed if summary is not None]))
    if faults:
        raise InputError(Reason.MANIFEST_INVALID, InvalidInputError(faults))
    count = class_count(info, model.args, generated=use.generated)
    manifests = for_classes([shard.name for shard in found], summaries, validation)
    classes = resolve_num_classes(training.num_classes, manifests, count)
    by_name = {shard.name: shard for shard in found}
    names = job.spec.shards.for_workers(by_name)
    # Without a manifest that fedjob reads, a worker needs no way out to the images' addresses.
    https = {
        shard.name: summary is not None and summary.https_uris > 0
        for shard, summary in zip(found, summaries, strict=True)
    }
    files = render_job_folder(
        job,
        author.source.content,
        info,
        num_classes=classes,
        workers=worker_names(len(names)),
        model_files=author.files,
        requirements=_requirements(job, author),
    )
    copies: dict[str, tuple[str, str]] = {}
    prepared = Prepared(
        made_from=inputs_digest(job),
        num_classes=classes,
        workers=[
            ShardPlace(
                name=name,
                bucket=by_name[name].bucket,
                key=by_name[name].key,
                sha256=by_name[name].sha256,
                https=https[name],
            )
            for name in names
        ],
        validation=_validation(job, by_name, store, copies),
        checkpoint=_checkpoint(job, store, copies),
        hints=_hints(job, author, info, shards),
    )
    return Inputs(prepared, files, copies)


def _hints(
    job: FederatedJob, author: ModelInputs, info: SourceInfo, shards: list[ShardInfo]
) -> list[str]:
    """Probable mistakes, as `fedjob validate` shows them; cut, since the record keeps them."""
    missing = [missing_module(name) for name in info.missing_modules]
    found = [*author.source.notes, *missing, *job_hints(job, info, shards)]
    return [hint[:LONGEST_HINT] for hint in found[:MOST_HINTS]]


def _validation(
    job: FederatedJob,
    by_name: dict[str, FoundShard],
    store: JobStore,
    copies: dict[str, tuple[str, str]],
) -> str | None:
    name = job.spec.shards.validation
    if name is None:
        return None
    shard = by_name[name]
    if shard.bucket == store.location.bucket:
        return shard.key
    # The server reads only the job's bucket, so objects of other buckets are copied there.
    target = store.layout.under(store.layout.model, f"validation-{name}")
    copies[target] = (shard.bucket, shard.key)
    return target


def _checkpoint(
    job: FederatedJob, store: JobStore, copies: dict[str, tuple[str, str]]
) -> str | None:
    uri, upload = job.spec.model.checkpoint, job.spec.model.upload
    if upload is not None and upload.checkpoint is not None:
        # The server compares its SHA-256 with the one that the upload recorded.
        return store.layout.checkpoint(upload.checkpoint.suffix)
    if uri is None:
        return None
    bucket, key = split_uri(uri)
    if store.bucket(bucket).head(key) is None:
        fix = "upload it: the operator checks again"
        fault = Fault("spec.model.checkpoint", f"{uri} does not exist", fix)
        raise InputError(Reason.CHECKPOINT_INVALID, InvalidInputError([fault]))
    if bucket == store.location.bucket:
        return key
    target = store.layout.checkpoint(PurePosixPath(key).suffix)
    copies[target] = (bucket, key)
    return target

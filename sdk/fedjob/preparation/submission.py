"""A job as it is sent to a cluster: its manifest, and the files that travel to the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fedjob.preparation.checkpoint import check_file
from fedjob.preparation.fault_list import faults_of
from fedjob.preparation.model_files import LocalModel, check_local_model, read_local_model
from fedjob.preparation.prepare import prepare
from fedjob.preparation.prepared import LocalFiles, LocalShard
from fedjob.preparation.shards import DEFAULT_FOLDER, inspect_shards, shard_files
from fedjob.preparation.shipped_model import MAX_SOURCE, shipped_model
from fedjob.protocol.transfer import SHARDS
from fedjob.spec import FederatedJob
from fedjob.spec.models.job import API_VERSION, KIND
from fedjob.workspace.manifest_use import NO_MANIFEST
from fedjob.workspace.requirements.lines import all_requirements


@dataclass(frozen=True, slots=True)
class Submission:
    """A checked job, ready to be sent.

    Attributes:
        job: The resource as it was written, with the files of this machine in it.
        manifest: What is applied: the fields that were set, and none of the defaults.
        namespace: The one that the job itself names; None: that of the kubectl context.
        files: Files to upload, or their content, by path below the job's prefix in the store.
        hints: Probable mistakes that do not stop the run.
    """

    job: FederatedJob
    manifest: Mapping[str, Any]
    namespace: str | None
    files: Mapping[str, Path | bytes] = field(default_factory=dict, repr=False)
    hints: tuple[str, ...] = ()


def submission_of(job: FederatedJob, files: LocalFiles) -> Submission:
    """Check a job and the files of this machine that go with it.

    What the job names in S3 or in a ConfigMap stays as it is; the operator checks it.

    Args:
        job: The resource.
        files: Files on this machine in place of those that the job names.

    Raises:
        InvalidInputError: Every fault of the resource, the model file and the shards.
    """
    faults = faults_of(job)
    model_here = _model_is_here(job, files)
    shards_here = _shards_are_here(job, files)
    checkpoint, files = files.checkpoint, replace(files, checkpoint=None)
    if checkpoint is not None:
        check_file(checkpoint, faults)
    shards: list[LocalShard] = []
    hints: tuple[str, ...] = ()
    model: LocalModel | None = None
    if model_here:
        model = read_local_model(job, files, faults, files.shards or files.base / DEFAULT_FOLDER)
    if model_here and shards_here:
        with faults.collected():
            prepared = prepare(_on_this_machine(job), files)
            hints = prepared.hints
            shards = [*prepared.shards, *([prepared.validation] if prepared.validation else [])]
    elif shards_here:
        spec = job.spec.shards
        paths = shard_files(spec, files, faults)
        manifest_file = job.spec.training.manifest_file
        # What the operator reads the model file for, it checks itself.
        found = inspect_shards(paths, spec, manifest_file, faults, NO_MANIFEST)
        shards = found.shards
    elif model is not None:
        with faults.collected():
            hints = (*model.hints, *_model_hints(job, model))
    faults.check()
    spec_changes: dict[str, Any] = {}
    uploads: dict[str, Path | bytes] = {f"{SHARDS}{shard.name}": shard.path for shard in shards}
    sent = model if _is_replaced(job, files) else None
    if sent is not None or checkpoint is not None:
        shipped = shipped_model(job, sent, checkpoint, faults)
        spec_changes["model"] = shipped.fields
        uploads |= shipped.files
    if shards_here:
        spec_changes["shards"] = _shard_fields(job, shards)
    faults.check()
    manifest = _manifest(job, spec_changes)
    return Submission(
        job=FederatedJob.model_validate(manifest) if spec_changes else job,
        manifest=manifest,
        namespace=job.metadata.namespace if "namespace" in job.metadata.model_fields_set else None,
        files=uploads,
        hints=hints,
    )


def _model_is_here(job: FederatedJob, files: LocalFiles) -> bool:
    spec = job.spec.model
    inline = spec.source.inline is not None and all(item.text is not None for item in spec.files)
    sent = spec.upload.files if spec.upload is not None else []
    whole = inline and all(item.path in files.attached for item in sent)
    return files.model_file is not None or whole


def _is_replaced(job: FederatedJob, files: LocalFiles) -> bool:
    """Whether the model of this machine is other than the text in the resource."""
    inline = job.spec.model.source.inline or ""
    return files.model_file is not None or bool(files.attached) or len(inline) > MAX_SOURCE


def _shards_are_here(job: FederatedJob, files: LocalFiles) -> bool:
    spec = job.spec.shards
    if files.shards is not None:
        return True
    named = spec.uri is not None or spec.items is not None or spec.upload is not None
    return not named and (files.base / DEFAULT_FOLDER).is_dir()


def _on_this_machine(job: FederatedJob) -> FederatedJob:
    """The job without what a run on this machine refuses and a cluster takes."""
    spec = job.spec
    policy = spec.run_policy.model_copy(update={"suspend": False})
    # The files of this machine stand for those that the job names.
    model = spec.model.model_copy(update={"checkpoint": None, "upload": None})
    shards = spec.shards.model_copy(update={"uri": None, "upload": None})
    changed = spec.model_copy(update={"run_policy": policy, "model": model, "shards": shards})
    return job.model_copy(update={"spec": changed})


def _model_hints(job: FederatedJob, model: LocalModel) -> tuple[str, ...]:
    spec = job.spec.model
    requirements = all_requirements(spec.requirements, model.files)
    return tuple(check_local_model(spec, model, requirements).hints)


def _shard_fields(job: FederatedJob, shards: list[LocalShard]) -> dict[str, Any]:
    """`spec.shards` with what is uploaded."""
    uploads = [
        {"name": shard.name, "sha256": shard.sha256, "size": shard.path.stat().st_size}
        for shard in sorted(shards, key=lambda shard: shard.name)
    ]
    fields: dict[str, Any] = {"upload": {"files": uploads}}
    if job.spec.shards.validation is not None:
        fields["validation"] = job.spec.shards.validation
    return fields


def _manifest(job: FederatedJob, spec_changes: Mapping[str, Any]) -> dict[str, Any]:
    kept = {"name", "namespace", "labels", "annotations"}
    shown = {"by_alias": True, "exclude_unset": True, "exclude_none": True, "mode": "json"}
    metadata = job.metadata.model_dump(include=kept, **shown)  # type: ignore[arg-type]
    spec = job.spec.model_dump(**shown)  # type: ignore[arg-type]
    head = {"apiVersion": API_VERSION, "kind": KIND}
    return {**head, "metadata": metadata, "spec": {**spec, **spec_changes}}

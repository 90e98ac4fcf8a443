"""Checks a job and its files on this machine, and reports every fault at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedjob.preparation.checkpoint import check_checkpoint
from fedjob.preparation.fault_list import FaultList, faults_of
from fedjob.preparation.model_files import LocalModel, check_local_model, read_local_model
from fedjob.preparation.prepared import LocalFiles, LocalShard, PreparedRun
from fedjob.preparation.readable_sections import readable_sections
from fedjob.preparation.shards import DEFAULT_FOLDER, InspectedShards, inspect_shards, shard_files
from fedjob.spec import (
    FederatedJob,
)
from fedjob.spec.validation.checks import GENERATED_FILES
from fedjob.spec.validation.parse import parse_job
from fedjob.storage.checksum import sha256_of
from fedjob.workspace.classes import class_count, resolve_num_classes
from fedjob.workspace.components import CUSTOM
from fedjob.workspace.hints import job_hints, missing_module
from fedjob.workspace.manifest_use import (
    NO_MANIFEST,
    ManifestUse,
    for_classes,
    manifest_use,
    style_faults,
)
from fedjob.workspace.render import render_job_folder
from fedjob.workspace.requirements.lines import RequirementLine, all_requirements
from fedjob.workspace.shard.manifest import ManifestSummary
from fedjob.workspace.source.model_file import InvalidSourceError, SourceInfo


def prepare_text(text: str, source: str, files: LocalFiles) -> PreparedRun:
    """Check a job file and everything it needs.

    Args:
        text: YAML or JSON of the resource.
        source: Name of the file in messages.
        files: Files on this machine in place of those that the job names.

    Raises:
        InvalidInputError: Every fault of the resource, the model file and the shards.
    """
    faults = FaultList()
    with faults.collected():
        given = files.model_file is not None
        return prepare(parse_job(text, source, model_file_given=given), files)
    job = readable_sections(text, source, model_file_given=files.model_file is not None)
    if job is not None:
        # The resource is faulty: report the faults of its files together with its own.
        _inputs(job, files, faults)
    faults.check()
    raise AssertionError("unreachable: `prepare` raised faults")


def prepare(job: FederatedJob, files: LocalFiles) -> PreparedRun:
    """Check everything a job needs to run on this machine.

    Raises:
        InvalidInputError: Every fault of the resource, the model file and the shards.
    """
    faults = faults_of(job)
    if job.spec.run_policy.suspend:
        fix = "write suspend: false; on this machine Ctrl-C suspends and running again resumes"
        faults.add("spec.runPolicy.suspend", "is true, so the job would not run", fix)
    inputs = _inputs(job, files, faults)
    model, info, found = inputs.model, inputs.info, inputs.found
    num_classes = job.spec.training.num_classes
    complete = not len(faults)
    with faults.collected():
        # Over the shards that are good: too few classes show in any of them.
        if info is not None and (complete or num_classes > 0):
            generated = manifest_use(job, info).generated
            count = class_count(info, job.spec.model.args, generated=generated)
            names = [shard.name for shard in found.shards]
            manifests = for_classes(names, found.manifests, job.spec.shards.validation)
            num_classes = resolve_num_classes(num_classes, manifests, count)
    shards = found.shards
    validation = next((s for s in shards if s.name == job.spec.shards.validation), None)
    training = tuple(shard for shard in shards if shard is not validation)
    job_files: dict[str, bytes] = {}
    with faults.collected():
        if model is not None and info is not None and training:
            job_files = render_job_folder(
                job,
                model.source.content,
                info,
                num_classes=num_classes,
                workers=[f"worker-{number}" for number in range(len(training))],
                model_files=model.files,
                requirements=[line.text for line in inputs.requirements],
            )
    faults.check()
    return PreparedRun(
        job=job,
        num_classes=num_classes,
        shards=training,
        validation=validation,
        checkpoint=files.checkpoint,
        job_files=job_files,
        digests=_digests(job_files, shards, files.checkpoint),
        requirements=inputs.requirements,
        hints=_hints(job, inputs, files),
    )


def check_code(job: FederatedJob, files: LocalFiles) -> tuple[str, ...]:
    """Check the resource and its model, for a job whose shards are elsewhere or not made yet.

    Returns:
        Probable mistakes that do not stop a run.

    Raises:
        InvalidInputError: Every fault of the resource and the model file.
    """
    faults = faults_of(job)
    found = _model(job, files, faults)
    if files.checkpoint is not None:
        check_checkpoint(job, files.checkpoint, faults)
    faults.check()
    inputs = _Inputs(found.model, found.info, found.requirements, InspectedShards([], [], []))
    return _hints(job, inputs, files)


@dataclass(frozen=True)
class CheckedCode:
    """A job's code, without a fault.

    Attributes:
        text: model_def.py.
        files: The files beside it.
        info: What model_def.py holds.
        requirements: As pip takes them.
    """

    text: str
    files: Mapping[str, bytes]
    info: SourceInfo
    requirements: tuple[str, ...]


def code_of_job(job: FederatedJob, files: LocalFiles) -> CheckedCode:
    """The code of a job that is rendered without its shards.

    Raises:
        InvalidInputError: Every fault of the resource and the model file.
    """
    faults = faults_of(job)
    found = _model(job, files, faults)
    faults.check()
    if found.model is None or found.info is None:
        raise AssertionError("unreachable: a model that is None comes with a fault")
    lines = tuple(line.text for line in found.requirements)
    return CheckedCode(found.model.source.text, found.model.files, found.info, lines)


@dataclass(frozen=True)
class _Inputs:
    """What a job is made from, as far as it could be read."""

    model: LocalModel | None
    info: SourceInfo | None
    requirements: tuple[RequirementLine, ...]
    found: InspectedShards


@dataclass(frozen=True)
class _Model:
    """The model's part of a job, as far as it could be read.

    Attributes:
        info: What is in the file, where it has no fault.
        readable: What is in it, also where it has faults.
    """

    model: LocalModel | None
    info: SourceInfo | None = None
    readable: SourceInfo | None = None
    requirements: tuple[RequirementLine, ...] = ()


def _model(job: FederatedJob, files: LocalFiles, faults: FaultList) -> _Model:
    spec = job.spec.model
    model = read_local_model(job, files, faults, files.shards or files.base / DEFAULT_FOLDER)
    if model is None:
        return _Model(None)
    info: SourceInfo | None = None
    readable: SourceInfo | None = None
    requirements: tuple[RequirementLine, ...] = ()
    with faults.collected():
        requirements = all_requirements(spec.requirements, model.files)
    with faults.collected():
        try:
            info = readable = check_local_model(spec, model, requirements)
        except InvalidSourceError as error:
            readable = error.info
            raise
    return _Model(model, info, readable, requirements)


def _inputs(job: FederatedJob, files: LocalFiles, faults: FaultList) -> _Inputs:
    found_model = _model(job, files, faults)
    readable = found_model.readable
    check_checkpoint(job, files.checkpoint, faults)
    paths = shard_files(job.spec.shards, files, faults)
    # Of a model file that cannot be read nothing is known: it may well train on any ZIP.
    use = NO_MANIFEST if readable is None else manifest_use(job, readable)
    found = inspect_shards(paths, job.spec.shards, job.spec.training.manifest_file, faults, use)
    for fault in style_faults(_read_by_us(found, use, job.spec.shards.validation)):
        faults.add(fault.field, fault.problem, fault.fix)
    return _Inputs(found_model.model, found_model.info, found_model.requirements, found)


def _read_by_us(
    found: InspectedShards, use: ManifestUse, validation: str | None
) -> list[ManifestSummary]:
    return [
        manifest
        for shard, manifest in zip(found.shards, found.manifests, strict=True)
        if manifest is not None and use.reads(shard.name, validation)
    ]


def _digests(
    job_files: dict[str, bytes], shards: list[LocalShard], checkpoint: Path | None
) -> dict[str, str | None]:
    digests: dict[str, str | None] = {}
    generated = {f"{CUSTOM}{name}" for name in GENERATED_FILES[1:]}
    for path, content in job_files.items():
        if path.startswith(CUSTOM) and path not in generated:
            name = path.removeprefix(CUSTOM)
            called = "model file" if name == GENERATED_FILES[0] else f"file {name}"
            digests[called] = hashlib.sha256(content).hexdigest()
    digests |= {f"shard {shard.name}": shard.sha256 for shard in shards}
    digests["checkpoint"] = None if checkpoint is None else sha256_of(checkpoint)
    return digests


def _hints(job: FederatedJob, inputs: _Inputs, files: LocalFiles) -> tuple[str, ...]:
    model, info = inputs.model, inputs.info
    if info is None or model is None:
        return ()
    hints = []
    for name in info.missing_modules:
        beside = [files.base / f"{name}.py", files.base / name / "__init__.py"]
        where = next((path for path in beside if path.is_file()), None)
        if where is not None:
            hints.append(
                f"model_def.py imports {name}, and {where} is not sent with it; give the folder: "
                "--model-file DIR, or add it to spec.model.files"
            )
        else:
            hints.append(missing_module(name))
    return (*model.hints, *hints, *job_hints(job, info, inputs.found.infos))

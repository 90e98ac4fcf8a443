"""From a job and files on this machine to a run that has passed every check: all faults at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from fedjob.errors import InvalidInputError
from fedjob.preparation.fault_list import FaultList
from fedjob.preparation.prepared import LocalFiles, LocalShard, PreparedRun
from fedjob.preparation.shards import InspectedShards, inspect_shards, shard_files
from fedjob.spec import (
    FederatedJob,
    FederatedJobSpec,
    ModelSpec,
    ObjectMeta,
    ShardsSpec,
    TrainingConfig,
)
from fedjob.spec.models.base import Model
from fedjob.spec.validation.parse import check_job, parse_job
from fedjob.spec.yaml import load_yaml
from fedjob.storage.checksum import sha256_of
from fedjob.workspace.classes import class_count, resolve_num_classes
from fedjob.workspace.manifest_use import (
    NO_MANIFEST,
    ManifestUse,
    for_classes,
    manifest_use,
    style_faults,
)
from fedjob.workspace.render import render_job_folder
from fedjob.workspace.shard.manifest import ManifestSummary
from fedjob.workspace.source.model_file import InvalidSourceError, SourceInfo, check_source

Section = TypeVar("Section", bound=Model)

CHECKPOINT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def prepare_text(text: str, source: str, files: LocalFiles) -> PreparedRun:
    """Check a job file and everything it needs.

    Args:
        text: YAML or JSON of the resource.
        source: What messages call it.
        files: What stands on this machine for what it names.

    Raises:
        InvalidInputError: Every fault of the resource, the model file and the shards.
    """
    faults = FaultList()
    with faults.collected():
        return prepare(parse_job(text, source), files)
    job = _salvage(text, source)
    if job is not None:
        # The resource itself is wrong; tell what is wrong with its files in the same breath.
        _inputs(job, files, faults)
    faults.check()
    raise AssertionError("unreachable: there were faults")


def prepare(job: FederatedJob, files: LocalFiles) -> PreparedRun:
    """Check everything a job needs to run on this machine.

    Raises:
        InvalidInputError: Every fault of the resource, the model file and the shards.
    """
    faults = FaultList()
    with faults.collected():
        check_job(job)
    if job.spec.run_policy.suspend:
        fix = "write suspend: false; on this machine Ctrl-C suspends and running again resumes"
        faults.add("spec.runPolicy.suspend", "is true, so the job would not run", fix)
    text, info, found = _inputs(job, files, faults)
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
        if text is not None and info is not None and training:
            names = [f"worker-{number}" for number in range(len(training))]
            job_files = render_job_folder(job, text, info, num_classes, names)
    faults.check()
    return PreparedRun(
        job=job,
        num_classes=num_classes,
        shards=training,
        validation=validation,
        checkpoint=files.checkpoint,
        job_files=job_files,
        digests=_digests(job_files, shards, files.checkpoint),
        hints=(*_hints(info), *found.hints, *_one_sample_hints(job, info, shards)),
    )


def read_model_file(job: FederatedJob, files: LocalFiles, faults: FaultList) -> str | None:
    """The text of model_def.py; None, with a fault, where it cannot be had on this machine."""
    if files.model_file is not None:
        path = files.model_file
        try:
            # Not read_text, which turns CRLF into LF: the file is shipped verbatim.
            return path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            faults.add("--model-file", f"{path} is not UTF-8 text", "give the model_def.py")
        except OSError as error:
            problem = f"{path}: {error.strerror or error}"
            faults.add("--model-file", problem, "give the path of model_def.py")
        return None
    source = job.spec.model.source
    if source.inline is None:
        field = "uri" if source.uri is not None else "configMapRef"
        where = "S3" if source.uri is not None else "a cluster"
        problem = f"is in {where}, which a run on this machine does not read"
        faults.add(f"spec.model.source.{field}", problem, "give the file: --model-file FILE")
    return source.inline


def _inputs(
    job: FederatedJob, files: LocalFiles, faults: FaultList
) -> tuple[str | None, SourceInfo | None, InspectedShards]:
    text, info = read_model_file(job, files, faults), None
    readable: SourceInfo | None = None
    model = job.spec.model
    if text is not None:
        with faults.collected():
            name = str(files.model_file or "model_def.py")
            try:
                info = readable = check_source(
                    text, model.class_name, model.train_function, name, model.requirements
                )
            except InvalidSourceError as error:
                readable = error.info
                raise
    _check_checkpoint(job, files.checkpoint, faults)
    paths = shard_files(job.spec.shards, files, faults)
    # Of a model file that cannot be read nothing is known: it may well train on any ZIP.
    use = NO_MANIFEST if readable is None else manifest_use(job, readable)
    found = inspect_shards(paths, job.spec.shards, job.spec.training.manifest_file, faults, use)
    for fault in style_faults(_read_by_us(found, use, job.spec.shards.validation)):
        faults.add(fault.field, fault.problem, fault.fix)
    return text, info, found


def _read_by_us(
    found: InspectedShards, use: ManifestUse, validation: str | None
) -> list[ManifestSummary]:
    return [
        manifest
        for shard, manifest in zip(found.shards, found.manifests, strict=True)
        if manifest is not None and use.reads(shard.name, validation)
    ]


def _one_sample_hints(
    job: FederatedJob, info: SourceInfo | None, shards: Sequence[LocalShard]
) -> tuple[str, ...]:
    """Batch normalisation has no variance over one sample: torch raises ValueError."""
    if info is None or not info.batch_norm or not manifest_use(job, info).generated:
        return ()
    validation = job.spec.shards.validation
    return tuple(
        f"{shard.name} has one sample, and BatchNorm cannot train on one: add samples, or use "
        "GroupNorm"
        for shard in shards
        if shard.samples == 1 and shard.name != validation
    )


def _check_checkpoint(job: FederatedJob, path: Path | None, faults: FaultList) -> None:
    if path is None:
        if job.spec.model.checkpoint is not None:
            problem = "is in S3, which a run on this machine does not read"
            faults.add("spec.model.checkpoint", problem, "give the file: --checkpoint FILE")
        return
    if not path.is_file():
        faults.add("--checkpoint", f"{path} is not a file", "give the file of the first weights")
    elif path.suffix not in CHECKPOINT_SUFFIXES:
        fix = f"give a state dict in a file that ends in {', '.join(CHECKPOINT_SUFFIXES)}"
        faults.add("--checkpoint", f"{path} has another ending", fix)


def _digests(
    job_files: dict[str, bytes], shards: list[LocalShard], checkpoint: Path | None
) -> dict[str, str | None]:
    model = job_files["app/custom/model_def.py"]
    digests: dict[str, str | None] = {"model file": hashlib.sha256(model).hexdigest()}
    digests |= {f"shard {shard.name}": shard.sha256 for shard in shards}
    digests["checkpoint"] = None if checkpoint is None else sha256_of(checkpoint)
    return digests


def _hints(info: SourceInfo | None) -> tuple[str, ...]:
    if info is None:
        return ()
    missing = info.missing_modules
    hints = [
        f"model_def.py imports {name}, which the runtime image does not have; "
        f"add its package to spec.model.requirements"
        for name in missing
    ]
    return (*hints, *info.hints)


def _salvage(text: str, source: str) -> FederatedJob | None:
    """The sections of a faulty resource that are good themselves, with defaults for the others.

    Returns:
        None where not even the model can be read.
    """
    try:
        data = load_yaml(text, source).data
    except InvalidInputError:
        return None
    spec = data.get("spec") if isinstance(data, dict) else None
    if not isinstance(spec, dict):
        return None
    model = _section(ModelSpec, spec.get("model")) or _bare_model(spec.get("model"))
    if model is None:
        return None
    good: dict[str, Any] = {"model": model}
    kinds: dict[str, type[Model]] = {"shards": ShardsSpec, "training": TrainingConfig}
    for name, kind in kinds.items():
        section = _section(kind, spec.get(name))
        if section is not None:
            good[name] = section
    return FederatedJob(metadata=ObjectMeta(name="unnamed"), spec=FederatedJobSpec(**good))


def _bare_model(value: Any) -> ModelSpec | None:
    if not isinstance(value, dict):
        return None
    return _section(ModelSpec, {key: value.get(key) for key in ("source", "className")})


def _section(kind: type[Section], value: Any) -> Section | None:
    try:
        return kind.model_validate(value)
    except ValidationError:
        return None

"""The model file and what lies beside it, from this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedjob.errors import InvalidInputError
from fedjob.preparation.fault_list import FaultList
from fedjob.preparation.prepared import LocalFiles
from fedjob.spec import FederatedJob
from fedjob.spec.models.model import ModelFile, ModelSpec
from fedjob.workspace.files.folder import MODEL_FILE, model_file_in, read_folder
from fedjob.workspace.files.rules import file_faults
from fedjob.workspace.requirements.lines import RequirementLine
from fedjob.workspace.source.check import check_model
from fedjob.workspace.source.decode import ModelSource, read_source, text_source
from fedjob.workspace.source.local_modules import neighbours_of
from fedjob.workspace.source.model_file import SourceInfo

OPTION = "--model-file"


@dataclass(frozen=True)
class LocalModel:
    """A model file and the files that are shipped with it.

    Attributes:
        source: The model file.
        name: What messages call it.
        files: The other files, by path relative to model_def.py.
        hints: What is left out, and may be missed.
    """

    source: ModelSource
    name: str
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    hints: tuple[str, ...] = ()


def read_local_model(
    job: FederatedJob, files: LocalFiles, faults: FaultList, shards: Path
) -> LocalModel | None:
    """Reads the model file and its neighbours.

    Args:
        job: The job; its inline files are taken, those of the command line before them.
        files: What the command line names.
        faults: Gets what is wrong.
        shards: The shards' folder, which is not code.

    Returns:
        None, with a fault, where this machine has no model file.
    """
    model = _read_model(job, files, faults, shards)
    found = model.files if model is not None else {}
    inline: dict[str, bytes] = {}
    for index, item in enumerate(job.spec.model.files):
        if item.text is not None:
            inline[item.path] = item.text.encode()
        elif not _is_given(item, found, files.model_file):
            kind = "uri" if item.uri is not None else "configMapKeyRef"
            where = "S3" if item.uri is not None else "a cluster"
            problem = f"{item.path} is in {where}, which a run on this machine does not read"
            fix = f"give the folder that holds it: {OPTION} DIR"
            faults.add(f"spec.model.files[{index}].{kind}", problem, fix)
    upload = job.spec.model.upload
    here = {*found, *files.attached}
    for index, sent in enumerate(upload.files if upload is not None else ()):
        if sent.path not in here:
            fix = f"give the folder that holds it: {OPTION} DIR"
            problem = f"{sent.path} is a file of the job's author"
            faults.add(f"spec.model.upload.files[{index}]", problem, fix)
    if model is None:
        return None
    shipped = {**inline, **files.attached, **model.files}
    for fault in file_faults(shipped, OPTION if model.files else "spec.model.files"):
        faults.add(fault.field, fault.problem, fault.fix)
    return LocalModel(model.source, model.name, shipped, model.hints)


def check_local_model(
    spec: ModelSpec, model: LocalModel, requirements: Sequence[RequirementLine]
) -> SourceInfo:
    """What the model file holds.

    Args:
        spec: spec.model.
        model: The file and its neighbours.
        requirements: What pip is to install for it.

    Raises:
        InvalidSourceError: Every fault of the file.
    """
    return check_model(
        model.source.text,
        model.files,
        class_name=spec.class_name,
        train_function=spec.train_function,
        filename=model.name,
        requirements=[line.text for line in requirements],
    )


def _read_model(
    job: FederatedJob, files: LocalFiles, faults: FaultList, shards: Path
) -> LocalModel | None:
    if files.model_file is None:
        return _inline_model(job, faults)
    path = files.model_file
    if not path.exists():
        faults.add(OPTION, f"{path}: No such file or directory", "give the path of model_def.py")
        return None
    try:
        if path.is_dir():
            return _folder_model(job, path, shards)
        source = read_source(path.read_bytes(), str(path))
        beside = neighbours_of(path, source.text)
        hints = [
            f"{path.name} names {name}, which lies beside it and is not sent; give the folder: "
            f"{OPTION} {path.parent}, or add it to spec.model.files"
            for name in beside.data
            if name not in {item.path for item in job.spec.model.files}
        ]
        return LocalModel(source, str(path), dict(beside.files), (*source.notes, *hints))
    except InvalidInputError as error:
        for fault in error.faults:
            faults.add(OPTION, f"{fault.field} {fault.problem}", fault.fix)
    except OSError as error:
        problem = f"{path}: {error.strerror or error}"
        faults.add(OPTION, problem, "give the path of model_def.py")
    return None


def _folder_model(job: FederatedJob, folder: Path, shards: Path) -> LocalModel:
    main = model_file_in(folder, job.spec.model.class_name)
    source = read_source(main.read_bytes(), str(main))
    shipped = read_folder(folder, left_out=[shards])
    shipped.pop(MODEL_FILE, None)  # it is the model file itself
    return LocalModel(source, str(main), shipped, source.notes)


def _inline_model(job: FederatedJob, faults: FaultList) -> LocalModel | None:
    source = job.spec.model.source
    if source.inline is not None:
        with faults.collected():
            return LocalModel(text_source(source.inline, MODEL_FILE), MODEL_FILE)
        return None
    if source.upload is not None:
        kind, problem = "upload", "is a file of the job's author"
    else:
        kind = "uri" if source.uri is not None else "configMapRef"
        where = "S3" if source.uri is not None else "a cluster"
        problem = f"is in {where}, which a run on this machine does not read"
    faults.add(f"spec.model.source.{kind}", problem, f"give the file: {OPTION} FILE")
    return None


def _is_given(item: ModelFile, found: dict[str, bytes], model_file: Path | None) -> bool:
    """Whether the command line gives what the job has in S3 or in a ConfigMap."""
    if item.path == ".":
        return model_file is not None and model_file.is_dir()
    return item.path in found or any(path.startswith(f"{item.path}/") for path in found)

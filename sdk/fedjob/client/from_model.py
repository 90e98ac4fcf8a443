"""`fedjob.from_model`: a job from a model class, wherever the class is written (row 2, 25)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from fedjob.client.job import FederatedJob
from fedjob.client.model_files import Files, Requirements, read_files, requirement_lines
from fedjob.client.python_names import python_names
from fedjob.errors import Fault, InvalidInputError
from fedjob.preparation.fault_list import FaultList
from fedjob.preparation.shipped_files import shipped
from fedjob.spec import (
    ComponentRef,
    FederationConfig,
    RunPolicy,
    ServerSpec,
    StorageSpec,
    TrainingConfig,
    WorkersSpec,
)
from fedjob.spec.models.base import Model
from fedjob.spec.models.job import MAX_NAME
from fedjob.spec.models.job import FederatedJob as Resource
from fedjob.spec.structural import structural_schema
from fedjob.spec.validation.explain import explain
from fedjob.spec.validation.parse import parse_object
from fedjob.spec.yaml import dotted
from fedjob.workspace.source.model_code import ModelCode, code_of

M = TypeVar("M", bound=Model)
ModelLike: TypeAlias = Callable[..., Any] | str | Path
"""A class, a function that returns a model, a `functools.partial` of these, or a path."""


def from_model(
    model: ModelLike,
    *,
    name: str | None = None,
    namespace: str | None = None,
    class_name: str | None = None,
    args: Mapping[str, Any] | None = None,
    training: TrainingConfig | Mapping[str, Any] | None = None,
    federation: FederationConfig | Mapping[str, Any] | None = None,
    files: Files = (),
    requirements: Requirements = (),
    checkpoint: str | Path | None = None,
    train_function: str | None = None,
    validation: str | None = None,
    executor: ComponentRef | str | None = None,
    persistor: ComponentRef | str | None = None,
    aggregator: ComponentRef | str | None = None,
    workers: WorkersSpec | Mapping[str, Any] | None = None,
    server: ServerSpec | Mapping[str, Any] | None = None,
    storage: StorageSpec | Mapping[str, Any] | None = None,
    run_policy: RunPolicy | Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> FederatedJob:
    """A job from a model class; its code travels with it.

    A module's file travels whole, with the modules beside it that it imports; of a script or a
    notebook, what the class uses of it. `fl_train_model`, `fl_train` and `fl_validate` beside the
    class travel too: without a training function, the generated loop trains on image shards.

    Args:
        model: A class or a function that returns a `torch.nn.Module`, or a `functools.partial` of
            one; or the path of a model_def.py, a notebook or a folder of code, with `class_name`.
        name: Of the job: lower-case letters, digits and `-`; None: from the model's name.
        namespace: Of the job; None: the client's.
        class_name: What makes the model, where `model` is a path.
        args: Keyword arguments of the class or function; `num_classes` is added where it takes it.
        training: Hyperparameters.
        federation: Rounds, quorum and time limits.
        files: More files and folders to lie beside model_def.py: paths, or a mapping of the path
            there to a path here or to bytes.
        requirements: What pip installs for the model: a list, or the path of a requirements.txt.
        checkpoint: The first weights: a state dict in a file, or `s3://bucket/key`.
        train_function: Name of the training function, where it has another than the documented.
        validation: File name of the shard that no worker gets: it evaluates the global model.
        executor: Your own NVFlare `Executor`, as `module.Class`.
        persistor: Your own NVFlare `ModelPersistor`, as `module.Class`.
        aggregator: Your own NVFlare `Aggregator`, as `module.Class`.
        workers: GPUs and placement of the workers' pods.
        server: Resources and placement of the server's pod.
        storage: The bucket, where the cluster's default is not meant.
        run_policy: Limits of the whole run.
        annotations: Of the resource.
        labels: Of the resource.

    Raises:
        InvalidJobError: Every fault of the arguments, each with a fix.

    Examples:
        >>> job = fedjob.from_model(
        ...     Net,
        ...     name="digits",
        ...     training=fedjob.TrainingConfig(local_epochs=3, batch_size=16),
        ...     federation=fedjob.FederationConfig(num_rounds=5, min_clients=2),
        ... )
        >>> job.spec.training.batch_size
        16
    """
    faults = FaultList()
    code: ModelCode | None = None
    given: dict[str, bytes] = {}
    lines: list[str] = []
    with faults.collected():
        if not isinstance(model, str | Path):
            code = code_of(model)
    with faults.collected():
        given = read_files(files)
    with faults.collected():
        lines = requirement_lines(requirements)
    sections: dict[str, Any] = {}
    for field, kind, value in (
        ("training", TrainingConfig, training),
        ("federation", FederationConfig, federation),
        ("workers", WorkersSpec, workers),
        ("server", ServerSpec, server),
        ("storage", StorageSpec, storage),
        ("runPolicy", RunPolicy, run_policy),
    ):
        with faults.collected():
            sections[field] = _section(kind, value, field)
    faults.check()
    found = shipped({**(code.files if code else {}), **given})
    resource = _model_section(model, code, class_name, args, train_function)
    resource["files"] = [file.model_dump(by_alias=True, exclude_none=True) for file in found.inline]
    resource["requirements"] = list(dict.fromkeys([*lines, *(code.requirements if code else ())]))
    local = _local_checkpoint(checkpoint)
    if checkpoint is not None and local is None:
        resource["checkpoint"] = str(checkpoint)
    metadata: dict[str, Any] = {"name": name or _name_of(model, class_name)}
    metadata |= {"namespace": namespace} if namespace else {}
    metadata |= {"annotations": dict(annotations)} if annotations else {}
    metadata |= {"labels": dict(labels)} if labels else {}
    with python_names():
        job = FederatedJob.of(
            parse_object(
                {
                    "apiVersion": "fedjob.dev/v1alpha1",
                    "kind": "FederatedJob",
                    "metadata": metadata,
                    "spec": {
                        "model": resource,
                        "shards": {"validation": validation} if validation else {},
                        "components": _components(executor, persistor, aggregator),
                        **{field: value for field, value in sections.items() if value},
                    },
                }
            )
        )
    if isinstance(model, str | Path):
        job = job.with_model_file(model)
        if given:
            job = _with_more_files(job, given)
    else:
        job._attached = found.attached
    job._checkpoint = local
    return job


def _section(kind: type[M], value: M | Mapping[str, Any] | None, field: str) -> dict[str, Any]:
    """A section of the spec by its outside names.

    Raises:
        InvalidInputError: A field of a mapping is wrong; all of them.
    """
    if value is None:
        return {}
    if isinstance(value, Mapping):
        try:
            value = kind.model_validate({to_camel(name): item for name, item in value.items()})
        except ValidationError as error:
            errors = error.errors(include_url=False)
            faults = [fault for item in errors for fault in _faults_of(item, field)]
            raise InvalidInputError(faults) from error
    return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _faults_of(error: ErrorDetails, field: str) -> list[Fault]:
    error["loc"] = ("spec", field, *error["loc"])
    try:
        return explain(error, structural_schema(Resource))
    except KeyError:  # below a field that was given by its name in Python
        where = dotted(error["loc"])
        return [Fault(where, error["msg"], "docs/reference/spec.md lists what it takes")]


def _model_section(
    model: ModelLike,
    code: ModelCode | None,
    class_name: str | None,
    args: Mapping[str, Any] | None,
    train_function: str | None,
) -> dict[str, Any]:
    # Of a path the text is read later, by the rules of `--model-file`.
    text = code.text if code is not None else "# read from the path"
    section: dict[str, Any] = {"source": {"inline": text}}
    name = code.class_name if code is not None else class_name
    if name is not None:
        section["className"] = name
    every = {**(code.args if code is not None else {}), **(args or {})}
    if every:
        section["args"] = every
    if train_function is not None:
        section["trainFunction"] = train_function
    return section


def _with_more_files(job: FederatedJob, given: Mapping[str, bytes]) -> FederatedJob:
    there = {file.path: (file.text or "").encode() for file in job.spec.model.files}
    found = shipped({**there, **job._attached, **given})
    model = job.spec.model.model_copy(update={"files": found.inline})
    changed = job.model_copy(update={"spec": job.spec.model_copy(update={"model": model})})
    changed._attached = found.attached
    return changed


def _components(
    executor: ComponentRef | str | None,
    persistor: ComponentRef | str | None,
    aggregator: ComponentRef | str | None,
) -> dict[str, Any]:
    named = {"executor": executor, "persistor": persistor, "aggregator": aggregator}
    return {
        field: {"path": value} if isinstance(value, str) else value.model_dump(by_alias=True)
        for field, value in named.items()
        if value is not None
    }


def _local_checkpoint(checkpoint: str | Path | None) -> Path | None:
    """The file of the first weights on this machine; None where there is none."""
    if checkpoint is None or str(checkpoint).startswith("s3://"):
        return None
    path = Path(checkpoint).expanduser()
    if not path.is_file():
        fix = "give the file of the first weights, or s3://bucket/key"
        raise InvalidInputError([Fault("checkpoint", f"{path} is not a file", fix)])
    return path.resolve()


def _name_of(model: ModelLike, class_name: str | None) -> str:
    """`ResNetSmall` as `res-net-small`."""
    if isinstance(model, str | Path):
        given = class_name or Path(model).stem
    else:
        inner = getattr(model, "func", model)
        given = str(getattr(inner, "__name__", type(model).__name__))
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", given)
    name = re.sub(r"[^a-z0-9]+", "-", spaced.lower()).strip("-")[:MAX_NAME].rstrip("-")
    return name if name[:1].isalpha() else f"job-{name}".rstrip("-")

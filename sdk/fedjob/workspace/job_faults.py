"""What of a job cannot become an NVFlare job folder, found before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedjob.errors import Fault
from fedjob.spec.models.job import FederatedJob
from fedjob.workspace.shard.entries import name_problem
from fedjob.workspace.source.model_class import argument_faults
from fedjob.workspace.source.model_file import SourceInfo

_CLASS_KEYS = ("path", "class_path")


def job_faults(
    job: FederatedJob, info: SourceInfo, workers: Sequence[str], extra_files: Mapping[str, bytes]
) -> Iterator[Fault]:
    """Every fault of the job against its source, its workers and NVFlare's configuration rules."""
    spec = job.spec
    count = len(workers)
    if not count:
        yield Fault("spec.shards", "has no shard, and a worker needs one", "add a shard")
    elif spec.federation.min_clients > count:
        yield Fault(
            "spec.federation.minClients",
            f"is {spec.federation.min_clients}, but there are {count} workers, one a shard",
            f"write at most {count}, or add shards",
        )
    if info.class_name is None:
        yield from _faults_without_model(job)
    else:
        yield from argument_faults(
            info.constructor, info.class_name, spec.model.args, "spec.model.args"
        )
    yield from _config_faults(spec.model.args, "spec.model.args")
    yield from _config_faults(spec.training.extra, "spec.training.extra")
    for path in extra_files:
        problem = name_problem(path)
        if problem is not None:
            yield Fault(f"extra file {path!r}", *problem)


def _faults_without_model(job: FederatedJob) -> Iterator[Fault]:
    spec = job.spec
    for given, field in (
        (spec.model.args, "spec.model.args"),
        (spec.shards is not None and spec.shards.validation, "spec.shards.validation"),
    ):
        if given:
            yield Fault(
                field, "needs a model, and the job names none", "write spec.model.className"
            )


def _config_faults(value: Any, field: str) -> Iterator[Fault]:
    """NVFlare reads `{x}` in a text as a variable and a `path` with a dot as a class to build."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _CLASS_KEYS and isinstance(item, str) and "." in item:
                yield Fault(
                    f"{field}.{key}",
                    f"{item[:80]!r} would be taken by NVFlare for a class to build",
                    f"use another name, such as file_{key}",
                )
            yield from _config_faults(item, f"{field}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _config_faults(item, f"{field}[{index}]")
    elif isinstance(value, str) and "{" in value and "}" in value:
        yield Fault(
            field,
            f"{value[:80]!r} holds braces, which NVFlare would replace",
            "write it without braces, or keep the text in model_def.py",
        )

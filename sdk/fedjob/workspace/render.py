"""The NVFlare job folder of a job, as CONTRACT section 3 lists it: file names and bytes, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from fedjob.errors import Fault, InvalidInputError
from fedjob.spec.models.job import FederatedJob
from fedjob.workspace.components import CUSTOM, Component, component, installed_modules
from fedjob.workspace.job_faults import job_faults
from fedjob.workspace.source.model_file import SourceInfo

MODEL_MODULE = "model_def"
LOOP_MODULE = "train_loop"
DATA_ROOT = "shard"
"""Where a worker unpacks its shard, below its home."""

_CONFIGS = ("config_fed_client.json", "config_fed_server.json")


class InvalidJobFolderError(InvalidInputError):
    """The job cannot become an NVFlare job folder."""


def render_job_folder(
    job: FederatedJob,
    source: str | bytes,
    info: SourceInfo,
    *,
    num_classes: int,
    workers: Sequence[str],
    extra_files: Mapping[str, str | bytes] | None = None,
    model_files: Mapping[str, bytes] | None = None,
    requirements: Sequence[str] | None = None,
) -> dict[str, bytes]:
    """Renders the job folder; the same arguments give the same bytes.

    Args:
        job: The job.
        source: model_def.py; it is taken verbatim.
        info: What `check_source` found in it.
        num_classes: As given, or inferred over all shards.
        workers: Their names, `worker-0` and so on.
        extra_files: More files by their path in the folder, such as `app/custom/my_executor.py`.
        model_files: Files beside model_def.py, by their path relative to it; taken verbatim.
        requirements: What pip installs; None: `model.requirements`.

    Returns:
        Path in the folder, `/` between its parts, to the file's bytes.

    Raises:
        InvalidJobFolderError: The job does not fit its source, its workers or NVFlare; all faults.
    """
    extra = {path: _bytes(content) for path, content in (extra_files or {}).items()}
    extra |= {f"{CUSTOM}{path}": content for path, content in (model_files or {}).items()}
    faults = list(job_faults(job, info, workers, extra))
    environment = _environment()
    context: dict[str, Any] = {
        "name": job.metadata.name,
        "class_name": info.class_name,
        "train_fn": _train_function(info),
        "adapter_module": _adapter(info),
        "manifest_file": job.spec.training.manifest_file,
        "federation": job.spec.federation,
        "resource_spec": {worker: {} for worker in workers},
    }
    python = {f"{CUSTOM}{MODEL_MODULE}.py": _bytes(source)}
    for module in ("fedjob_executor", "fedjob_persistor", *([LOOP_MODULE] * (info.form == "C"))):
        text = environment.get_template(f"{module}.py.j2").render(context)
        python[f"{CUSTOM}{module}.py"] = text.encode()
    context |= _components(
        job,
        info,
        num_classes=num_classes,
        num_clients=len(workers),
        files={**extra, **python},
        faults=faults,
    )
    if faults:
        raise InvalidJobFolderError(faults)
    configs = {f"app/config/{name}": _json(environment, name, context) for name in _CONFIGS}
    lines = job.spec.model.requirements if requirements is None else requirements
    generated = {
        **python,
        **configs,
        "meta.json": _json(environment, "meta.json", context),
        "requirements.txt": "".join(f"{line}\n" for line in lines).encode(),
    }
    if hidden := sorted(extra.keys() & generated.keys()):
        problem = "has the name of a generated file"
        raise InvalidJobFolderError(
            [Fault(f"extra file {n}", problem, "rename it") for n in hidden]
        )
    return dict(sorted({**extra, **generated}.items()))


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _train_function(info: SourceInfo) -> str:
    return info.train_function or "fl_train"


def _adapter(info: SourceInfo) -> str:
    return LOOP_MODULE if info.form == "C" else MODEL_MODULE


def _components(
    job: FederatedJob,
    info: SourceInfo,
    *,
    num_classes: int,
    num_clients: int,
    files: Mapping[str, bytes],
    faults: list[Fault],
) -> dict[str, Component | None]:
    spec, training = job.spec, job.spec.training
    model = {"class_name": info.class_name, "model_args": spec.model.args}
    hyperparameters = {
        "local_epochs": training.local_epochs,
        "batch_size": training.batch_size,
        "learning_rate": training.learning_rate,
        "num_classes": num_classes,
        "img_size": training.img_size,
        "manifest_file": training.manifest_file,
        "extra": training.extra,
        "num_rounds": spec.federation.num_rounds,
        "num_clients": num_clients,
    }
    strategy = spec.federation.strategy
    if strategy is not None and strategy.name == "FedProx":
        hyperparameters["proximal_mu"] = strategy.arguments()["mu"]
    executor = Component(
        "fedjob_executor.FedjobExecutor",
        {
            "data_root": DATA_ROOT,
            "adapter_module": _adapter(info),
            "train_fn": _train_function(info),
            "validate_fn": "fl_validate" if info.has_validate else None,
            **model,
            "hyperparameters": hyperparameters,
            **({"partial": True} if spec.federation.partial else {}),
        },
    )
    persistor = Component("fedjob_persistor.FedjobPersistor", {**model, "num_classes": num_classes})
    python = {path: content for path, content in files.items() if path.endswith(".py")}
    there = installed_modules(spec.model.requirements)
    chosen: dict[str, Component | None] = {"aggregator": None}
    for name, ref, own in (
        ("executor", spec.components.executor, executor),
        ("persistor", spec.components.persistor, persistor),
        ("aggregator", spec.components.aggregator, Component("", {})),
    ):
        if ref is None and name == "aggregator":
            continue
        try:
            chosen[name] = component(ref, own, f"spec.components.{name}", python, there)
        except InvalidInputError as error:
            faults += error.faults
    return chosen


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fedjob.workspace"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (Python and JSON, not HTML; values go through the json filter)
    )
    environment.filters["json"] = lambda value: json.dumps(value, allow_nan=False)
    return environment


def _json(environment: jinja2.Environment, name: str, context: Mapping[str, Any]) -> bytes:
    text = environment.get_template(f"{name}.j2").render(context)
    return (json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n").encode()

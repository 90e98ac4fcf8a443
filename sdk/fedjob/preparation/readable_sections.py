"""The readable part of a faulty resource, so that the faults of its files are found as well."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from fedjob.errors import InvalidInputError
from fedjob.spec import (
    FederatedJob,
    FederatedJobSpec,
    ModelSpec,
    ObjectMeta,
    ShardsSpec,
    TrainingConfig,
)
from fedjob.spec.models.base import Model
from fedjob.spec.validation.parse import with_given_file
from fedjob.spec.yaml import load_yaml

Section = TypeVar("Section", bound=Model)


def readable_sections(
    text: str, source: str, *, model_file_given: bool = False
) -> FederatedJob | None:
    """A job of the sections that are good themselves, with defaults for the others.

    Args:
        text: YAML or JSON of the resource.
        source: Name of the file in messages.
        model_file_given: As for `parse_job`.

    Returns:
        None where not even the model can be read.
    """
    try:
        data = load_yaml(text, source).data
    except InvalidInputError:
        return None
    data = with_given_file(data) if model_file_given else data
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

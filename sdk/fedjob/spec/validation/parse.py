"""A job file, or an object from the API server, to a `FederatedJob`: all faults at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fedjob.errors import Fault, InvalidInputError
from fedjob.spec.models.job import API_VERSION, KIND, FederatedJob
from fedjob.spec.models.unique import repetitions
from fedjob.spec.structural import Schema, structural_schema
from fedjob.spec.validation.explain import explain, folded, schema_at, shown, unknown_field
from fedjob.spec.validation.reader import Reader
from fedjob.spec.validation.rules import broken_rules
from fedjob.spec.yaml import Path, Place, dotted, load_yaml

_METADATA = frozenset(
    [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ]
)
"""Every field of `meta/v1.ObjectMeta`."""

_OUTER = ("apiVersion", "kind", "status")
_START = "apiVersion: fedjob.dev/v1alpha1, kind: FederatedJob, metadata: {name: ...}, spec: {...}"


GIVEN_FILE = "# the model file is given on the command line\n"
"""Stands for a `spec.model.source` that a job file leaves out, see `with_given_file`."""


def with_given_file(data: Any) -> Any:
    """A job's data with a source for the model file that the command line gives.

    Args:
        data: What the job file holds; anything but a job without `spec.model.source` stays as it
            is.
    """
    spec = data.get("spec") if isinstance(data, Mapping) else None
    model = spec.get("model") if isinstance(spec, Mapping) else None
    if not isinstance(model, Mapping) or model.get("source") is not None:
        return data
    filled = {**model, "source": {"inline": GIVEN_FILE}}
    return {**data, "spec": {**data["spec"], "model": filled}}


def parse_job(
    text: str, source: str = "job.yaml", *, model_file_given: bool = False
) -> FederatedJob:
    """Reads a job file.

    Args:
        text: YAML or JSON of one FederatedJob; a `status` in it is ignored.
        source: What to call the file in faults that have no field.
        model_file_given: The model file comes from elsewhere, so `spec.model.source` may be absent.

    Raises:
        InvalidInputError: With every fault found, in the order of the file.

    Examples:
        >>> parse_job(text).spec.federation.num_rounds
        5
    """
    document = load_yaml(text, source)
    if not isinstance(document.data, dict):
        given = "is empty" if document.data is None else f"is {shown(document.data)}, not a mapping"
        raise InvalidInputError([Fault(source, given, f"write a FederatedJob: {_START}")])
    data = with_given_file(document.data) if model_file_given else document.data
    return _parse(data, document.places)


def parse_object(data: Mapping[str, Any]) -> FederatedJob:
    """Reads an object as the API server gives it, or as a program made it; its status is left out.

    Raises:
        InvalidInputError: With every fault found.
    """
    return _parse(data, {})


def check_job(job: FederatedJob) -> None:
    """Checks a job that was made in Python by the rules over several fields.

    Raises:
        InvalidInputError: With every rule that it breaks.
    """
    data = job.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"status"})
    faults = [*broken_rules(Reader(data)), *repetitions(data, _schema())]
    if faults:
        raise InvalidInputError(faults)


def _parse(data: Mapping[str, Any], places: Mapping[Path, Place]) -> FederatedJob:
    foreign, ours = _kind_faults(data)
    if not ours:
        raise InvalidInputError(foreign)
    root = _schema()
    given = {name: value for name, value in data.items() if name not in _OUTER}
    pruned = _without_nulls(given, root)
    metadata = pruned.get("metadata")
    unknown = [
        unknown_field(("metadata", name), root)
        for name in (metadata if isinstance(metadata, dict) else ())
        if name not in _METADATA
    ]
    errors: list[ErrorDetails] = []
    job = None
    try:
        job = FederatedJob.model_validate(pruned, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    crossed = broken_rules(Reader(pruned, (error["loc"] for error in errors)))
    crossed.extend(repetitions(pruned, root))
    errors = [error for error in errors if not _is_misspelt(error, errors)]
    explained = [fault for error in errors for fault in explain(error, root)]
    faults = [*foreign, *unknown, *explained, *crossed]
    if job is None or faults:
        by_field = {dotted(path): place for path, place in places.items()}
        raise InvalidInputError(sorted(faults, key=lambda fault: _place(fault.field, by_field)))
    return job


def _kind_faults(data: Mapping[str, Any]) -> tuple[list[Fault], bool]:
    """The faults of apiVersion and kind, and whether the rest is worth checking."""
    faults = []
    for name, right in (("apiVersion", API_VERSION), ("kind", KIND)):
        value = data.get(name)
        if value is None:
            faults.append(Fault(name, "is missing", f"add `{name}: {right}`"))
        elif value != right:
            faults.append(Fault(name, f"is {shown(value)}", f"write `{name}: {right}`"))
    kind = data.get("kind")
    return faults, kind is None or str(kind).lower().rstrip("s") == KIND.lower()


def _is_misspelt(error: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """Whether a missing field is there under a name that is reported with the right one."""
    return error["type"] == "missing" and any(
        other["type"] == "extra_forbidden"
        and other["loc"][:-1] == error["loc"][:-1]
        and folded(str(other["loc"][-1])) == folded(str(error["loc"][-1]))
        for other in errors
    )


@cache
def _schema() -> Schema:
    return structural_schema(FederatedJob)


def _without_nulls(value: Any, node: Schema) -> Any:
    """Drops null fields, as the API server does, except within free arguments."""
    if isinstance(value, Mapping) and not node.get("x-kubernetes-preserve-unknown-fields"):
        return {
            name: _without_nulls(child, schema_at(node, (name,)))
            for name, child in value.items()
            if child is not None
        }
    if isinstance(value, list):
        return [_without_nulls(child, node.get("items", {})) for child in value]
    return value


def _place(field: str, places: Mapping[str, Place]) -> Place:
    """Line and column of a field, else of the nearest field above it, else (0, 0)."""
    while field and field not in places:
        field = field[: max(field.rfind("."), field.rfind("["), 0)]
    return places.get(field, (0, 0))

"""What the previous release's CRD accepted, this one accepts: objects in etcd stay valid.

The chart of that release is in tests/support/previous_release.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from fedjob.spec.schema.crd import custom_resource_definition
from support.repository import ROOT

FOLDER = ROOT / "tests/support/previous_release"
CRD = "fedjob/files/federatedjobs.fedjob.dev.yaml"
Schema = dict[str, Any]

UPPER = ("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum")
LOWER = ("minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum")
TEXTUAL = ("type", "format", "pattern", "x-kubernetes-int-or-string")


def previous_schema() -> Schema:
    """The schema of the previous release's CRD."""
    with tarfile.open(FOLDER / "fedjob-0.1.0.tgz") as archive:
        file = archive.extractfile(CRD)
        assert file is not None
        return schema_of(yaml.safe_load(file))


def schema_of(definition: Schema) -> Schema:
    """The schema of a CRD's only version."""
    (version,) = definition["spec"]["versions"]
    found: Schema = version["schema"]["openAPIV3Schema"]
    return found


def names_of(schema: Schema) -> set[str]:
    """The names of properties of a schema and of its objects, one level down."""
    properties = schema.get("properties", {})
    return set(properties).union(*(value.get("properties", {}) for value in properties.values()))


def stricter(old: Schema, new: Schema, path: str) -> Iterator[str]:
    """Where `new` may refuse what `old` accepts."""
    for key in TEXTUAL:
        if key in new and new[key] != old.get(key):
            yield f"{path}: {key} was {old.get(key)}, is {new[key]}"
    for key, sign in [*((key, 1) for key in UPPER), *((key, -1) for key in LOWER)]:
        if key in new and (key not in old or (new[key] - old[key]) * sign < 0):
            yield f"{path}: {key} was {old.get(key)}, is {new[key]}"
    lost = set(old.get("enum", ())) - set(new.get("enum", old.get("enum", ())))
    if lost or ("enum" in new and "enum" not in old):
        yield f"{path}: enum lost {sorted(lost)}"
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{path}.{name}: is required now"
    added = names_of(new) - names_of(old)
    rules = {rule["rule"] for rule in old.get("x-kubernetes-validations", ())}
    for rule in new.get("x-kubernetes-validations", ()):
        # A rule about a property that is new says nothing about objects without it.
        if rule["rule"] not in rules and not any(f".{name}" in rule["rule"] for name in added):
            yield f"{path}: has the new rule {rule['rule']}"
    for name, value in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{path}.{name}: is gone, so etcd would lose its values"
        else:
            yield from stricter(value, new["properties"][name], f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            yield from stricter(old[key], new[key], f"{path}[]")


def test_nothing_that_was_accepted_is_refused_by_the_schema() -> None:
    assert list(stricter(previous_schema(), schema_of(custom_resource_definition()), "")) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"maxLength": 9}, {"maxLength": 8}),
        ({}, {"minimum": 0}),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}),
        ({"properties": {"a": {}}}, {"properties": {"a": {}}, "required": ["a"]}),
        ({"properties": {"a": {}}}, {"properties": {}}),
        ({"items": {"type": "string"}}, {"items": {"type": "integer"}}),
        ({}, {"x-kubernetes-validations": [{"rule": "self.a > 1"}]}),
    ],
)
def test_a_stricter_schema_is_found(old: Schema, new: Schema) -> None:
    assert list(stricter(old, new, ""))
    assert not list(stricter(old, old, ""))


def test_wheel_and_chart_are_of_one_release() -> None:
    with zipfile.ZipFile(FOLDER / "fedjob-0.1.0-py3-none-any.whl") as wheel:
        metadata = wheel.read("fedjob-0.1.0.dist-info/METADATA").decode()
        assert "\nVersion: 0.1.0\n" in metadata
    with tarfile.open(FOLDER / "fedjob-0.1.0.tgz") as archive:
        chart = archive.extractfile("fedjob/Chart.yaml")
        assert chart is not None
        assert yaml.safe_load(io.BytesIO(chart.read()))["appVersion"] == "0.1.0"

"""The kinds of value that parts of the spec share: what each takes and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fedjob.spec.models import fields


def parse(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


def kind_of_error(kind: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        parse(kind, value)
    return caught.value.errors()[0]["type"]


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(("value", "text"), [(2, "2"), ("500m", "500m"), ("1.5Gi", "1.5Gi")])
def test_a_quantity_is_text_in_python(value: Any, text: str) -> None:
    assert parse(fields.Quantity, value) == text


@pytest.mark.parametrize("value", [True, 1.5, -1, "-1", "4GB", "", "1" * 33])
def test_what_is_not_a_quantity_is_refused(value: Any) -> None:
    kind_of_error(fields.Quantity, value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        nested(8),
        {"a": [1, None, True, "x", 1.5]},
        {"a" * 128: "x" * 8192},
        {"a": [0] * 4096},
        {"class": 1},
    ],
    ids=["empty", "8 deep", "each kind", "longest", "4096 items", "any name"],
)
def test_json_within_the_bounds_is_taken_as_it_is(value: dict[str, Any]) -> None:
    assert parse(fields.JsonObject, value) == value


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (nested(9), "json_depth"),
        ({"a": [nested(7)]}, "json_depth"),
        ({"": 1}, "json_key"),
        ({"a": {"b" * 129: 1}}, "json_key"),
        ({"a": [0] * 4097}, "json_list"),
        ({"a": float("inf")}, "json_number"),
        ({"a": [float("nan")]}, "json_number"),
        ({"a": "x" * 8193}, "json_string"),
        ({f"a{i}": 1 for i in range(65)}, "too_long"),
    ],
)
def test_json_beyond_the_bounds_is_refused(value: dict[str, Any], error: str) -> None:
    assert kind_of_error(fields.JsonObject, value) == error


@pytest.mark.parametrize("name", ["class", "a-b", "1a", "None"])
def test_an_argument_has_a_name_that_python_can_pass(name: str) -> None:
    assert kind_of_error(fields.KeywordArgs, {name: 1}) == "keyword_name"


def test_only_the_top_names_are_arguments() -> None:
    value = {"options": {"class": 1, "a-b": 2}}
    assert parse(fields.KeywordArgs, value) == value


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (fields.FilePath, "pkg/.hidden/a.py", "../a.py"),
        (fields.FilePath, ".", "/a.py"),
        (fields.Identifier, "_net", "pkg.net"),
        (fields.ModelName, "pkg.Net", "pkg."),
        (fields.ClassPath, "pkg.Net", "Net"),
        (fields.ObjectName, "a.b-c", "A"),
        (fields.S3Object, "s3://data/a.pt", "s3://data/a/"),
        (fields.S3Source, "s3://data/a/", "s3://data/"),
        (fields.S3Prefix, "s3://data", "http://data/a"),
        (fields.ShardName, "a.zip", ".a.zip"),
    ],
)
def test_each_name_has_its_pattern(kind: Any, good: str, bad: str) -> None:
    assert parse(kind, good) == good
    assert kind_of_error(kind, bad) == "string_pattern_mismatch"

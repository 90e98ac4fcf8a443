"""Faults, examples and values as text."""

import pytest

from fedjob.errors import Fault
from fedjob.spec.validation.explain import example, explain, schema_at, shown


def test_an_error_of_a_new_kind_is_still_a_fault():
    error = {"type": "odd", "loc": ("spec", "x"), "msg": "Input is odd", "input": 1}
    assert explain(error, {}) == [Fault("spec.x", "input is odd", "see docs/reference/spec.md")]


def test_places_in_a_schema():
    schema = {"properties": {"a": {"items": {"additionalProperties": {"type": "string"}}}}}
    assert schema_at(schema, ("a", 3, "any")) == {"type": "string"}
    assert schema_at(schema, ("b", 0, "c")) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ({"a": 1}, "a mapping of 1"),
        ([1, 2], "a list of 2"),
        ("a\nb", '"a\\nb"'),
        ("x" * 61, '"' + "x" * 57 + '..."'),
        (1.5, "1.5"),
    ],
)
def test_values_are_shown_as_yaml_and_short(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ({"type": "integer", "minimum": 3}, "3"),
        ({"type": "integer"}, "1"),
        ({"type": "number"}, "0.5"),
        ({"type": "boolean"}, "false"),
        ({"type": "string"}, "text"),
        ({"type": "array", "items": {"type": "string"}}, "[text]"),
        ({"type": "object"}, "{}"),
        ({"type": "string", "default": "a"}, "a"),
        ({"type": "boolean", "default": True}, "true"),
        ({"type": "string", "examples": ["Net"]}, "Net"),
    ],
)
def test_examples(node, text):
    assert example(node) == text

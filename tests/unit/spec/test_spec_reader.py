"""Reading a job of which some is wrong, and explaining an error that is not foreseen."""

import pytest

from fedjob.errors import Fault
from fedjob.spec.validation.explain import example, explain, schema_at, shown
from fedjob.spec.validation.reader import Reader, UnreadableError

DATA = {"a": {"b": [1, {"c": None}]}, "d": "text"}


def test_values_and_defaults():
    job = Reader(DATA)
    assert job.get(("a", "b", 0), int) == 1
    assert job.get(("a", "b", 1, "c"), int, 7) == 7
    assert job.get(("a", "x", "y"), int, 8) == 8
    assert job.get(("x",), int) is None
    assert job.has(("d",))
    assert not job.has(("e",))
    assert job.size(("a", "b")) == 2
    assert job.size(("a", "x")) == 0


@pytest.mark.parametrize(
    ("path", "kind"),
    [(("d",), int), (("d", "e"), str), (("a", "b", "c"), str), (("a", "b"), dict)],
)
def test_a_value_of_another_kind_is_unreadable(path, kind):
    with pytest.raises(UnreadableError):
        Reader(DATA).get(path, kind)


@pytest.mark.parametrize("faulty", [("a",), ("a", "b"), ("a", "b", 0)])
def test_what_was_refused_is_unreadable_and_what_is_in_it(faulty):
    with pytest.raises(UnreadableError):
        Reader(DATA, [faulty]).get(("a", "b", 0), int)
    assert Reader(DATA, [("a", "b", 1)]).get(("a", "b", 0), int) == 1


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

"""What cannot be expressed in a CRD is refused by name, not by the API server."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from fedjob.spec.structural import NotStructuralError, structural_schema


class Node(BaseModel):
    children: list["Node"] = []


class Inner(BaseModel):
    """Inside."""

    a: int = 1


def model_of(kind: Any) -> type[BaseModel]:
    return create_model("M", f=(kind, ...))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Node, "recurse"),
        (int | str, "union"),
        (int | str | None, "union"),
        (list[int | str], "union"),
        (list[int | None], "union"),
        (dict[str, int | None], "union"),
        (Decimal, "union"),
        (tuple[int, str], "model instead of a tuple"),
        (set[str], "list_set"),
        (Annotated[float, Field(gt=0)], "ge instead of gt"),
        (Annotated[float, Field(lt=0)], "le instead of lt"),
        (dict[Annotated[str, Field(pattern="^a")], int], "keys cannot be constrained"),
        (Any, "no type"),
        (list[Any], "no type"),
    ],
)
def test_what_has_no_structural_form(kind, message):
    with pytest.raises(NotStructuralError, match=r"M\.f") as caught:
        structural_schema(model_of(kind))
    assert message in str(caught.value)


def test_what_has_one():
    class Outer(BaseModel):
        inner: Inner = Inner()
        made: Inner = Field(default_factory=Inner)
        maybe: Inner | None = None
        must: Inner
        word: Literal["a"] = "a"
        choice: Literal["a", "b"] | None = None
        maybe_two: int | None = 2
        table: dict[str, list[int]] = {}

    schema = structural_schema(Outer)
    inner = {
        "type": "object",
        "description": "Inside.",
        "properties": {"a": {"type": "integer", "default": 1}},
    }
    assert schema == {
        "type": "object",
        "required": ["must"],
        "properties": {
            "inner": {**inner, "default": {"a": 1}},
            "made": {**inner, "default": {}},
            "maybe": inner,
            "must": inner,
            "word": {"type": "string", "enum": ["a"], "default": "a"},
            "choice": {"type": "string", "enum": ["a", "b"]},
            "maybe_two": {"type": "integer", "default": 2},
            "table": {
                "type": "object",
                "default": {},
                "additionalProperties": {"type": "array", "items": {"type": "integer"}},
            },
        },
    }


def test_without_defaults():
    class Outer(BaseModel):
        inner: Inner = Field(default_factory=Inner)

    schema = structural_schema(Outer, defaults=False)
    assert "default" not in schema["properties"]["inner"]
    assert schema["properties"]["inner"]["properties"] == {"a": {"type": "integer"}}

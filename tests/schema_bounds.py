"""Every bound of the CRD's schema as two jobs: one at the bound, one just beyond it.

Made by walking the schema, so a new field is covered without a new test. Where a made value would
break a rule over several fields, `COMPANIONS` and `SAMPLES` say what it needs, and why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fedjob.spec.hints import PATTERN_HINTS

Node = dict[str, Any]
Step = tuple[str, Node]
"""One step down: a property's name, `[]` or `.*`, and the schema node it leads to."""

_KEY = ({"key": "a"}, "operator Equal, the default, needs a key")
COMPANIONS: dict[str, tuple[dict[str, Any], str]] = {
    "spec.model.source.inline": ({}, "exactly one source: not the uri of the smallest job"),
    "spec.model.source.configMapRef": ({}, "exactly one source: not the uri of the smallest job"),
    "spec.storage.endpoint": ({"secretRef": {"name": "s"}}, "an endpoint needs a secretRef"),
    **{
        f"spec.{section}.tolerations[].{field}": companions
        for section in ("server", "workers")
        for field, companions in (
            ("value", _KEY),
            ("effect", _KEY),
            ("operator", _KEY),
            (
                "tolerationSeconds",
                ({"key": "a", "effect": "NoExecute"}, "seconds count for NoExecute alone"),
            ),
        )
    },
}
"""By field: what stands beside it in its mapping, in place of what the smallest job has."""

SAMPLES: dict[str, tuple[Any, str]] = {
    "spec.model.source": ({"uri": "s3://bucket/model_def.py"}, "exactly one source"),
    **{
        f"spec.{section}.tolerations[]": ({"operator": "Exists"}, "an empty one lacks its key")
        for section in ("server", "workers")
    },
}
"""By node: a valid value, where the one made from the schema is none."""

_SAID = {"type", "description", "default", "properties", "items", "additionalProperties", "anyOf"}
_BOUNDS = {
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties"),
    *("pattern", "enum", "required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
    *("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"),
    "x-kubernetes-validations",  # RULES: tests/spec_cases.py has cases for each
}


@dataclass(frozen=True)
class Bound:
    """A job at a bound of one field, or beyond it.

    Attributes:
        name: `spec.training.batchSize minimum: at`, for the test's id.
        field: As the API server names it, with `[0]` for an item.
        job: The whole object.
        accepted: Whether it is within the bound.
    """

    name: str
    field: str
    job: dict[str, Any]
    accepted: bool


class NoValueError(Exception):
    """No value could be made for a node; the text names it, and where to list it."""


def bounds_of(schema: Node, smallest: dict[str, Any]) -> Iterator[Bound]:
    """Every bound of `spec` and of `metadata.name`, as jobs made from `smallest`."""
    metadata = schema["properties"]["metadata"]
    name: list[Step] = [("metadata", metadata), ("name", metadata["properties"]["name"])]
    for steps in (name, *_walk(schema, "spec")):
        path, node = path_of(steps), steps[-1][1]
        field = path.replace("[]", "[0]").replace(".*", ".a")
        for rule, where, value, accepted in _values(path, node, decoded=path == "metadata.name"):
            job = placed(schema, smallest, steps, value)
            yield Bound(f"{path} {rule}", field + where, job, accepted)


def nodes_of(schema: Node) -> dict[str, Node]:
    """Every node of `spec`, by path."""
    return {path_of(steps): steps[-1][1] for steps in _walk(schema, "spec")}


def leaves_of(schema: Node) -> Iterator[list[Step]]:
    """The steps to every field of `spec` that holds a value; a list or a free map is one."""
    for steps in _walk(schema, "spec"):
        names = [name for name, _ in steps]
        if "properties" not in steps[-1][1] and not {"[]", ".*"} & set(names):
            yield steps


def another(path: str, node: Node, current: Any) -> Any:
    """A valid value that is neither `current` nor the default.

    Raises:
        NoValueError: If none could be made.
    """
    taken = (current, node.get("default"))
    for make in _CANDIDATES:
        value = make(path, node)
        if value is not None and value not in taken:
            return value
    raise NoValueError(f"{path}: made no other valid value; list it in schema_bounds.SAMPLES")


def path_of(steps: list[Step]) -> str:
    """`spec.shards.items[].name`."""
    path = ""
    for name, _ in steps:
        path += name if name in ("[]", ".*") else f".{name}"
    return path.removeprefix(".")


def placed(schema: Node, job: dict[str, Any], steps: list[Step], value: Any) -> dict[str, Any]:
    """`job` with a value put at the end of `steps`, and with what that needs beside it."""

    def put(node: Node, held: Any, depth: int) -> Any:
        if depth == len(steps):
            return value
        (name, child), path = steps[depth], path_of(steps[: depth + 1])
        if name == "[]":
            return [put(child, None, depth + 1)]
        if name == ".*":
            return {"a": put(child, None, depth + 1)}
        if path in COMPANIONS:
            held = COMPANIONS[path][0]
        elif held is None:
            held = sample(path_of(steps[:depth]), node)
        return {**held, name: put(child, held.get(name), depth + 1)}

    result: dict[str, Any] = put(schema, job, 0)
    return result


def _walk(node: Node, *only: str, above: tuple[Step, ...] = ()) -> Iterator[list[Step]]:
    """The steps to every node below, parents first."""
    below = [(n, c) for n, c in node.get("properties", {}).items() if not only or n in only]
    if "items" in node:
        below.append(("[]", node["items"]))
    if "additionalProperties" in node:
        below.append((".*", node["additionalProperties"]))
    for step in below:
        yield [*above, step]
        yield from _walk(step[1], above=(*above, step))


def _values(path: str, node: Node, *, decoded: bool) -> Iterator[tuple[str, str, Any, bool]]:
    """(the bound, where below the field the fault is, a value, whether it is accepted).

    `decoded`: the API server reads the field itself, so a wrong type does not reach the schema.
    """
    unknown = node.keys() - _SAID - _BOUNDS
    if unknown:
        raise NoValueError(f"{path}: schema_bounds.py knows no values for {sorted(unknown)}")
    if "enum" in node:
        for word in node["enum"]:
            yield f"enum: {word}", "", word, True
        yield "enum: beyond", "", node["enum"][0] + "x", False
    for bound, step in (("minimum", -1), ("maximum", 1)):
        if bound in node:
            limit = node[bound]
            beyond = limit + step
            if node.get("type") == "number":
                beyond = math.nextafter(limit, step * math.inf)
            yield f"{bound}: at", "", limit, True
            yield f"{bound}: beyond", "", beyond, False
    yield from _texts(path, node)
    if node.get("type") == "array":
        yield from _lists(path, node)
    elif node.get("type") == "object":
        yield from _mappings(path, node)
    if not decoded:
        yield "type", "", _of_another_type(node), False


def _texts(path: str, node: Node) -> Iterator[tuple[str, str, Any, bool]]:
    least, most = node.get("minLength", 0), node.get("maxLength")
    if "pattern" in node:
        yield "pattern: within", "", _example(node), True
        yield "pattern: beyond", "", _mismatch(path, node), False
    if most is not None:
        yield "maxLength: at", "", _of_length(path, node, most), True
        yield "maxLength: beyond", "", _of_length(path, node, most + 1, may_mismatch=True), False
    if least:
        yield "minLength: at", "", _of_length(path, node, least), True
        yield "minLength: beyond", "", "a" * (least - 1), False


def _lists(path: str, node: Node) -> Iterator[tuple[str, str, Any, bool]]:
    most, least = node["maxItems"], node.get("minItems", 0)
    yield "maxItems: at", "", _items(path, node, most), True
    yield "maxItems: beyond", "", _items(path, node, most + 1), False
    yield "minItems: at", "", _items(path, node, least), True
    if least:
        yield "minItems: beyond", "", _items(path, node, least - 1), False
    if node.get("x-kubernetes-list-type") in ("set", "map"):
        yield "unique", "[1]", _items(path, node, 1) * 2, False


def _mappings(path: str, node: Node) -> Iterator[tuple[str, str, Any, bool]]:
    if "maxProperties" in node:
        most, item = node["maxProperties"], node.get("additionalProperties")
        value = 1 if item is None else sample(f"{path}.*", item)
        yield "maxProperties: at", "", {f"a{i}": value for i in range(most)}, True
        yield "maxProperties: beyond", "", {f"a{i}": value for i in range(most + 1)}, False
    full = sample(path, node) if "properties" in node else {}
    for name in node.get("required", ()):
        rest = {key: value for key, value in full.items() if key != name}
        yield f"required: {name}", f".{name}", rest, False
    if "properties" in node:
        yield "unknown field", ".zzz", {**full, "zzz": 1}, False


def sample(path: str, node: Node) -> Any:
    """A valid value: the listed one, or the simplest."""
    if path in SAMPLES:
        return SAMPLES[path][0]
    if "enum" in node:
        return node["enum"][0]
    if "pattern" in node:
        return _example(node)
    simplest: dict[str, Callable[[], Any]] = {
        "string": lambda: "a" * max(1, node.get("minLength", 0)),
        "integer": lambda: node["minimum"],
        "number": lambda: node["minimum"],
        "boolean": lambda: True,
        "array": lambda: _items(path, node, max(1, node.get("minItems", 0))),
        "object": lambda: _required(path, node),
    }
    return simplest[node["type"]]()


def _required(path: str, node: Node) -> dict[str, Any]:
    names = node.get("required", ())
    return {name: sample(f"{path}.{name}", node["properties"][name]) for name in names}


def _items(path: str, node: Node, count: int) -> list[Any]:
    """Valid items, distinct where the list wants that."""
    item, kind = node["items"], node.get("x-kubernetes-list-type")
    one = sample(f"{path}[]", item)
    if kind == "set":
        return [_numbered(path, item, i) for i in range(count)]
    if kind == "map":
        [key] = node["x-kubernetes-list-map-keys"]
        names = [_numbered(f"{path}[].{key}", item["properties"][key], i) for i in range(count)]
        return [{**one, key: name} for name in names]
    return [one] * count


def _example(node: Node) -> str:
    return PATTERN_HINTS[node["pattern"]][1].partition("`")[0]


def _matches(node: Node, text: str) -> bool:
    return "pattern" not in node or re.fullmatch(node["pattern"], text) is not None


def _grown(node: Node, insert: str, text: str) -> str | None:
    """`text` with `insert` at the first place where the pattern still holds."""
    grown = (text[:at] + insert + text[at:] for at in range(1, len(text) + 1))
    return next((found for found in grown if _matches(node, found)), None)


def _numbered(path: str, node: Node, number: int) -> str:
    found = _grown(node, str(number), sample(path, node))
    if found is None:
        raise NoValueError(f"{path}: no place for a number; teach schema_bounds.py one")
    return found


def _of_length(path: str, node: Node, length: int, *, may_mismatch: bool = False) -> str:
    """A text of that length; one of the pattern, where the pattern has any."""
    text = _example(node) if "pattern" in node else ""
    candidates = [text] if len(text) == length else ["a" * length]
    if len(text) < length:
        candidates += [
            found for c in "a1" if (found := _grown(node, c * (length - len(text)), text))
        ]
    for found in candidates:
        if _matches(node, found):
            return found
    if may_mismatch:  # the pattern bounds the length too: any longer text is beyond both
        return text + "a" * (length - len(text))
    raise NoValueError(f"{path}: no text of {length} characters; list it in schema_bounds.SAMPLES")


def _mismatch(path: str, node: Node) -> str:
    text = _example(node)
    for found in (f"{text} ", f"!{text[1:]}", f"{text}\n", " "):
        if not _matches(node, found) and len(found) <= node.get("maxLength", math.inf):
            return found
    raise NoValueError(f"{path}: every text tried fits the pattern; teach schema_bounds.py one")


def _of_another_type(node: Node) -> Any:
    if node.get("type") == "string":
        return 7
    return True if node.get("x-kubernetes-int-or-string") else "text"


def _next_number(_: str, node: Node) -> Any:
    if node.get("type") not in ("integer", "number"):
        return None
    return node.get("default", node["minimum"]) + 1


_CANDIDATES: tuple[Callable[[str, Node], Any], ...] = (
    _next_number,
    lambda _, node: node["enum"][-1] if "enum" in node else None,
    lambda _, node: {"a": 1} if "x-kubernetes-preserve-unknown-fields" in node else None,
    lambda _, node: {"a": "b"} if "additionalProperties" in node else None,
    lambda path, node: sample(path, node),
    lambda _, node: False if node.get("type") == "boolean" else None,
    lambda path, node: _numbered(path, node, 1) if node.get("type") == "string" else None,
)

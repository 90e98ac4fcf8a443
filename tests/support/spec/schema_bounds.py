"""Every bound of the CRD's schema as two jobs: one at the bound, one just beyond it.

Made by walking the schema, so a new field is covered without a new test. Where a made value would
break a rule over several fields, `COMPANIONS` and `SAMPLES` say what it needs, and why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fedjob.spec.validation.checks import ARGUMENT_OWNERS
from support.spec.schema_values import (
    Node,
    NoValueError,
    example,
    items,
    mismatch,
    of_another_type,
    of_length,
    sample,
)

Step = tuple[str, Node]
"""One step down: a property's name, `[]` or `.*`, and the schema node it leads to."""

_KEY = ({"key": "a"}, "operator Equal, the default, needs a key")
COMPANIONS: dict[str, tuple[dict[str, Any], str]] = {
    "spec.model.source.inline": ({}, "exactly one source: not the uri of the smallest job"),
    "spec.model.source.configMapRef": ({}, "exactly one source: not the uri of the smallest job"),
    "spec.model.source.upload": ({}, "exactly one source: not the uri of the smallest job"),
    **{
        f"spec.model.files[].{field}": ({"path": "a.txt"}, "a path, and no other content")
        for field in ("text", "configMapKeyRef", "uri")
    },
    "spec.model.files[].path": ({"text": "x"}, "exactly one content"),
    **{
        f"spec.federation.stopWhen.{field}": (
            {"metric": "m", "mode": "min", "patience": 3},
            "a condition, and a mode for patience",
        )
        for field in ("metric", "mode", "patience")
    },
    **{
        f"spec.federation.stopWhen.{field}": ({"metric": "m"}, "one threshold, which has a mode")
        for field in ("atLeast", "atMost")
    },
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

ELSEWHERE: dict[str, tuple[dict[str, Any], str]] = {
    "spec.federation.strategy.name": ({"spec.federation.minClients": 5}, "Krum needs 5 answers"),
    **{
        f"spec.federation.strategy.args.{argument}": (
            {"spec.federation.strategy.name": names[0], "spec.federation.minClients": 256},
            "it is an argument of some strategies only, and Krum needs 2 byzantine + 3 answers",
        )
        for argument, names in ARGUMENT_OWNERS.items()
    },
}
"""By field: what else the job needs, at dotted paths of mappings."""

_KNOWN = {"type", "description", "default", "properties", "items", "additionalProperties", "anyOf"}
_BOUNDS = {
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties"),
    *("pattern", "enum", "required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
    *("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"),
    "x-kubernetes-validations",  # RULES: support/spec/cases.py has cases for each
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
    for path, needed in ELSEWHERE.get(path_of(steps), ({}, ""))[0].items():
        *above, last = path.split(".")
        held = result
        for name in above:
            held[name] = dict(held.get(name, {}))
            held = held[name]
        held[last] = needed
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
    unknown = node.keys() - _KNOWN - _BOUNDS
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
        yield "type", "", of_another_type(node), False


def _texts(path: str, node: Node) -> Iterator[tuple[str, str, Any, bool]]:
    least, most = node.get("minLength", 0), node.get("maxLength")
    if "pattern" in node:
        yield "pattern: within", "", example(node), True
        yield "pattern: beyond", "", mismatch(path, node), False
    if most is not None:
        yield "maxLength: at", "", of_length(path, node, most), True
        yield "maxLength: beyond", "", of_length(path, node, most + 1, may_mismatch=True), False
    if least:
        yield "minLength: at", "", of_length(path, node, least), True
        yield "minLength: beyond", "", "a" * (least - 1), False


def _lists(path: str, node: Node) -> Iterator[tuple[str, str, Any, bool]]:
    most, least = node["maxItems"], node.get("minItems", 0)
    yield "maxItems: at", "", items(path, node, most), True
    yield "maxItems: beyond", "", items(path, node, most + 1), False
    yield "minItems: at", "", items(path, node, least), True
    if least:
        yield "minItems: beyond", "", items(path, node, least - 1), False
    if node.get("x-kubernetes-list-type") in ("set", "map"):
        yield "unique", "[1]", items(path, node, 1) * 2, False


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

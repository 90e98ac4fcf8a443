"""Repeated items of lists, as `x-kubernetes-list-type` in the schema refuses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fedjob.errors import Fault
from fedjob.spec.structural import Schema


def repetitions(value: Any, node: Schema, at: str = "") -> Iterator[Fault]:
    """The faults of every list that the schema wants without repetition.

    Args:
        value: Plain data; what does not fit the schema is passed over.
        node: The schema of `value`.
        at: Dotted path of `value`.
    """
    if isinstance(value, Mapping):
        for name, child in node.get("properties", {}).items():
            yield from repetitions(value.get(name), child, f"{at}.{name}".removeprefix("."))
    elif isinstance(value, list) and "items" in node:
        yield from _repeated(value, node, at)
        for i, item in enumerate(value):
            yield from repetitions(item, node["items"], f"{at}[{i}]")


def _repeated(values: list[Any], node: Schema, at: str) -> Iterator[Fault]:
    kind = node.get("x-kubernetes-list-type")
    keys = node.get("x-kubernetes-list-map-keys", ())
    first: dict[Any, int] = {}
    for i, value in enumerate(values):
        if kind == "set" and isinstance(value, str):
            key, where, fix = value, f"{at}[{i}]", "remove it"
        elif kind == "map" and isinstance(value, Mapping) and isinstance(value.get(keys[0]), str):
            key, where, fix = value[keys[0]], f"{at}[{i}].{keys[0]}", "give each another name"
        else:
            continue
        if key in first:
            yield Fault(where, f"`{key}` stands at {at}[{first[key]}] already", fix)
        first.setdefault(key, i)

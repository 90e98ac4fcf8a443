"""Valid values for nodes of the CRD's schema, and values just as they should not be."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from fedjob.spec.validation.hints import PATTERN_HINTS

Node = dict[str, Any]

SAMPLES: dict[str, tuple[Any, str]] = {
    "spec.model.source": ({"uri": "s3://bucket/model_def.py"}, "exactly one source"),
    "spec.federation.stopWhen": ({"metric": "m", "atLeast": 0.5}, "a condition"),
    "spec.model.files[]": ({"path": "helpers.py", "text": "x"}, "exactly one content"),
    **{
        f"spec.{section}.tolerations[]": ({"operator": "Exists"}, "an empty one lacks its key")
        for section in ("server", "workers")
    },
}
"""By node: a valid value, where the one made from the schema is none."""


class NoValueError(Exception):
    """No value could be made for a node; the text names it, and where to list it."""


def another(path: str, node: Node, current: Any) -> Any:
    """A valid value that is not `current`, the stored one.

    Raises:
        NoValueError: If none could be made.
    """
    for make in _CANDIDATES:
        value = make(path, node)
        if value is not None and value != current:
            return value
    raise NoValueError(f"{path}: made no other valid value; list it in schema_values.SAMPLES")


def sample(path: str, node: Node) -> Any:
    """A valid value: the listed one, or the simplest."""
    if path in SAMPLES:
        return SAMPLES[path][0]
    if "enum" in node:
        return node["enum"][0]
    if "pattern" in node:
        return example(node)
    simplest: dict[str, Callable[[], Any]] = {
        "string": lambda: "a" * max(1, node.get("minLength", 0)),
        "integer": lambda: node["minimum"],
        "number": lambda: node["minimum"],
        "boolean": lambda: True,
        "array": lambda: items(path, node, max(1, node.get("minItems", 0))),
        "object": lambda: _required(path, node),
    }
    return simplest[node["type"]]()


def _required(path: str, node: Node) -> dict[str, Any]:
    names = node.get("required", ())
    return {name: sample(f"{path}.{name}", node["properties"][name]) for name in names}


def items(path: str, node: Node, count: int) -> list[Any]:
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


def example(node: Node) -> str:
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
        raise NoValueError(f"{path}: no place for a number; teach schema_values.py one")
    return found


def of_length(path: str, node: Node, length: int, *, may_mismatch: bool = False) -> str:
    """A text of that length; one of the pattern, where the pattern has any."""
    text = example(node) if "pattern" in node else ""
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
    raise NoValueError(f"{path}: no text of {length} characters; list it in schema_values.SAMPLES")


def mismatch(path: str, node: Node) -> str:
    text = example(node)
    for found in (f"{text} ", f"!{text[1:]}", f"{text}\n", " "):
        if not _matches(node, found) and len(found) <= node.get("maxLength", math.inf):
            return found
    raise NoValueError(f"{path}: every text tried fits the pattern; teach schema_values.py one")


def of_another_type(node: Node) -> Any:
    if node.get("type") == "string":
        return 7
    return True if node.get("x-kubernetes-int-or-string") else "text"


def _next_number(_: str, node: dict[str, Any]) -> Any:
    if node.get("type") not in ("integer", "number"):
        return None
    following = node.get("default", node["minimum"]) + 1
    return following if following <= node["maximum"] else node["minimum"]


_CANDIDATES: tuple[Callable[[str, Node], Any], ...] = (
    _next_number,
    lambda _, node: node["enum"][-1] if "enum" in node else None,
    lambda _, node: {"a": 1} if "x-kubernetes-preserve-unknown-fields" in node else None,
    lambda _, node: {"a": "b"} if "additionalProperties" in node else None,
    lambda path, node: sample(path, node),
    lambda _, node: False if node.get("type") == "boolean" else None,
    lambda path, node: _numbered(path, node, 1) if node.get("type") == "string" else None,
)

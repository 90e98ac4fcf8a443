"""Translates pydantic's errors into faults: the given value and the fix."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from fedjob.errors import Fault
from fedjob.spec.structural import Schema
from fedjob.spec.validation.hints import PATTERN_HINTS, TYPE_NAMES
from fedjob.spec.yaml import Path, dotted, resolve

_PYTHON_TYPES = {"integer": (int,), "number": (int, float), "boolean": (bool,)}

JSON_FIXES = {
    "json_depth": "keep arguments flat: at most 8 levels",
    "json_key": "give each argument a name of 1 to 128 characters",
    "json_list": "keep long lists in a file of the shard or in model_def.py",
    "json_number": "write a finite number",
    "json_string": "keep long text in model_def.py: at most 8192 characters",
    "keyword_name": "write names that Python takes for an argument, such as `hidden_size`",
}
"""Fixes of the errors that our own validators raise."""


def explain(error: ErrorDetails, root: Schema) -> list[Fault]:
    """The faults that one pydantic error stands for.

    Args:
        error: From `ValidationError.errors()`, located by outside names.
        root: The structural schema of the object, for names, defaults and examples.
    """
    path: Path = tuple(error["loc"])
    if error["type"] == "extra_names":
        listed = error["ctx"]["faults"]
        return [Fault(dotted((*path, name)), problem, fix) for name, problem, fix in listed]
    return [_explain_one(error, path, root)]


def _explain_one(error: ErrorDetails, path: Path, root: Schema) -> Fault:
    kind = error["type"]
    if kind == "extra_forbidden":
        return unknown_field(path, root)
    node = schema_at(root, path)
    name = str(path[-1]) if path else ""
    if kind == "missing":
        return Fault(dotted(path), "is missing", f"add `{name}: {example(node)}`")
    given = error["input"]
    if kind in JSON_FIXES:
        return Fault(dotted(path), error["msg"], JSON_FIXES[kind])
    if kind.endswith("_type"):
        return _wrong_type(path, node, given)
    problem, fix = _wrong_value(kind, error.get("ctx") or {}, node, name, given)
    return Fault(dotted(path), problem or error["msg"].lower(), fix)


def unknown_field(path: Path, root: Schema) -> Fault:
    """The fault of a name that no model has, with the name that was probably meant."""
    name = str(path[-1])
    above = dotted(path[:-1]) or "the top"
    known = list(schema_at(root, path[:-1]).get("properties", {}))
    same = {folded(candidate): candidate for candidate in known}
    if meant := same.get(folded(name)):
        fix = f"write `{meant}`"
    elif homes := [home for home in _homes(root, "", folded(name)) if home]:
        fix = f"move it: write {' or '.join(f'`{home}`' for home in homes[:3])}"
    elif close := difflib.get_close_matches(name, known, 1, cutoff=0.6):
        fix = f"write `{close[0]}`"
    else:
        fix = f"remove it; {above} has {', '.join(known)}"
    return Fault(dotted(path), "is not a field of a FederatedJob", fix)


def schema_at(root: Schema, path: Path) -> Schema:
    """The schema node of the value at `path`; empty where the schema has no such place."""
    node = root
    for part in path:
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            inner = node.get("properties", {}).get(part)
            node = node.get("additionalProperties", {}) if inner is None else inner
    return node


def example(node: Schema) -> str:
    """A value that the node takes, as YAML."""
    if node.get("examples"):
        return str(node["examples"][0])
    if node.get("default", {}) != {}:
        default = node["default"]
        return default if isinstance(default, str) else shown(default)
    if "pattern" in node:
        return PATTERN_HINTS[node["pattern"]][1]
    if node.get("type") == "array":
        return f"[{example(node['items'])}]"
    if node.get("type") == "object":
        required = node.get("required", ())
        inner = ", ".join(f"{key}: {example(node['properties'][key])}" for key in required)
        return f"{{{inner}}}"
    by_type = {"integer": shown(node.get("minimum", 1)), "number": "0.5", "boolean": "false"}
    return by_type.get(node.get("type", ""), "text")


def shown(value: Any) -> str:
    """A value as a person would write it in YAML, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, dict):
        return f"a mapping of {len(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        short = value if len(value) <= 60 else f"{value[:57]}..."
        return '"' + short.replace("\n", "\\n") + '"'
    return str(value)


def folded(name: str) -> str:
    """A name in small letters, without `_` and `-`: what people confuse."""
    return to_camel(name.replace("-", "_")).lower()


def _wrong_type(path: Path, node: Schema, given: Any) -> Fault:
    label = f"{path[-1]}: " if isinstance(path[-1], str) else "- "
    kind = node.get("type", "string")
    problem = f"is {shown(given)}, but must be {TYPE_NAMES[kind]}"
    fix = f"write for example `{label}{example(node)}`"
    if kind == "string" and isinstance(given, bool | int | float):
        fix = f'write `{label}"{shown(given)}"`, in quotes'
    elif kind == "integer" and isinstance(given, float) and given.is_integer():
        fix = f"write `{label}{int(given)}`"
    elif isinstance(given, str) and type(resolve(given)) in _PYTHON_TYPES.get(kind, ()):
        fix = f"write `{label}{shown(resolve(given))}`, without quotes"
    return Fault(dotted(path), problem, fix)


def _wrong_value(
    kind: str, ctx: dict[str, Any], node: Schema, name: str, given: Any
) -> tuple[str, str]:
    value = shown(given)
    if kind == "greater_than_equal":
        return f"{value} is below {shown(node['minimum'])}", f"write {_range(node)}"
    if kind == "less_than_equal":
        return f"{value} is above {shown(node['maximum'])}", f"write {_range(node)}"
    if kind == "finite_number":
        return f"{value} is not a finite number", f"write {_range(node)}"
    if kind == "literal_error":
        options = [str(option) for option in node["enum"]]
        close = difflib.get_close_matches(str(given), options, 1, cutoff=0.5)
        fix = f"write `{close[0]}`" if close else f"write one of {', '.join(options)}"
        return f"{value} is none of {', '.join(options)}", fix
    if kind == "string_pattern_mismatch":
        return (
            f"{value} is not {PATTERN_HINTS[ctx['pattern']][0]}",
            f"write for example `{example(node)}`",
        )
    if kind == "string_too_long":
        return f"has {len(given)} characters", f"write at most {ctx['max_length']} characters"
    if kind == "string_too_short":
        return "is empty", f"write for example `{name}: {example(node)}`, or leave it out"
    if kind == "too_long":
        return f"has {len(given)} entries", f"give at most {ctx['max_length']}"
    if kind == "too_short":
        return "is an empty list", f"give at least {ctx['min_length']}, or leave it out"
    return "", "see docs/reference/spec.md"


def _range(node: Schema) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    return f"{TYPE_NAMES[node['type']]} from {shown(low)} to {shown(high)}"


def _homes(node: Schema, at: str, wanted: str) -> list[str]:
    found: list[str] = []
    for name, child in node.get("properties", {}).items():
        path = f"{at}.{name}".removeprefix(".")
        if folded(name) == wanted:
            found.append(path)
        if path != "status":
            found.extend(_homes(child, path, wanted))
    return found

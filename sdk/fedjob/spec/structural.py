"""From pydantic's JSON schema to the structural schema that a CRD may hold.

A structural schema (Kubernetes, "Specifying a structural schema") has no references, no unions but
int-or-string, one type a node, and bounds where CEL shall be affordable. What has no such form is
refused here, by name, rather than by the API server.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_KEPT = (
    "type",
    "description",
    "default",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
    "examples",
)
_REFUSED = {
    "exclusiveMinimum": "write ge instead of gt",
    "exclusiveMaximum": "write le instead of lt",
    "prefixItems": "write a model instead of a tuple",
    "propertyNames": "keys cannot be constrained",
    "patternProperties": "keys cannot be constrained",
    "oneOf": "write optional fields and a rule instead of a union",
    "allOf": "write one model",
    "uniqueItems": "write a list and list_set() instead of a set",
}


class NotStructuralError(TypeError):
    """A model holds something that no CRD can express."""


def structural_schema(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """The structural schema of a model, by its outside (camelCase) names.

    Args:
        model: Any pydantic model; not recursive.
        defaults: Whether to keep defaults, and to give `{}` to each section that may be left out,
            so that the defaults within it apply. False for a status.

    Raises:
        NotStructuralError: With the path of the field and what to write instead.
    """
    raw = model.model_json_schema(by_alias=True)
    return _convert(raw, raw.get("$defs", {}), model.__name__, defaults, ())


def _convert(
    node: Schema, defs: dict[str, Schema], path: str, defaults: bool, seen: tuple[str, ...]
) -> Schema:
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        if name in seen:
            raise NotStructuralError(f"{path}: {name} contains itself; a CRD cannot recurse")
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _convert({**defs[name], **beside}, defs, path, defaults, (*seen, name))
    for keyword, instead in _REFUSED.items():
        if keyword in node:
            raise NotStructuralError(f"{path}: {keyword} has no structural form; {instead}")
    if "const" in node:
        node = {**node, "enum": [node["const"]]}
    out = {key: node[key] for key in _KEPT if key in node and (defaults or key != "default")}
    out |= {key: value for key, value in node.items() if key.startswith("x-kubernetes-")}
    if "x-kubernetes-int-or-string" in out:
        out["anyOf"] = node["anyOf"]
    elif "anyOf" in node:
        raise NotStructuralError(f"{path}: a union has no structural form; write optional fields")
    elif "type" not in out:
        raise NotStructuralError(f"{path}: no type; write one type instead of Any")
    if "properties" in node:
        out["properties"] = {}
        for name, given in node["properties"].items():
            child, optional = _without_null(given, f"{path}.{name}")
            made = _convert(child, defs, f"{path}.{name}", defaults, seen)
            always = not optional and name not in node.get("required", ())
            if defaults and always and "properties" in made:
                made.setdefault("default", {})
            out["properties"][name] = made
    elif isinstance(node.get("additionalProperties"), dict):
        every = node["additionalProperties"]
        out["additionalProperties"] = _convert(every, defs, f"{path}.*", defaults, seen)
    if "items" in node:
        out["items"] = _convert(node["items"], defs, f"{path}[]", defaults, seen)
    return out


def _without_null(node: Schema, path: str) -> tuple[Schema, bool]:
    """`X | None` is X: a field that may be absent, since Kubernetes prunes null."""
    if "anyOf" not in node or "x-kubernetes-int-or-string" in node:
        return node, False
    members = [member for member in node["anyOf"] if member.get("type") != "null"]
    if len(members) != 1:
        raise NotStructuralError(f"{path}: a union of {len(members)} types; write optional fields")
    beside = {key: value for key, value in node.items() if key != "anyOf"}
    if beside.get("default", ...) is None:
        del beside["default"]
    return {**members[0], **beside}, True

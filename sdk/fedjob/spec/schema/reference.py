"""The table of every field, made from the models and the rules.

`python -m fedjob.spec.schema.reference` prints it; `docs/reference/spec.md` is that output.
"""

from __future__ import annotations

from collections.abc import Iterator

from fedjob.spec.models.job import FederatedJob
from fedjob.spec.structural import Schema, structural_schema
from fedjob.spec.validation.explain import shown
from fedjob.spec.validation.hints import PATTERN_HINTS, TYPE_NAMES
from fedjob.spec.validation.rules import RULES

_HEADER = """\
<!-- Made from sdk/fedjob/spec by `python -m fedjob.spec.schema.reference`; do not edit. -->
# FederatedJob: every field

`apiVersion: fedjob.dev/v1alpha1`, `kind: FederatedJob`. Times are in seconds. A field may be left
out unless it says *required*. `fedjob validate FILE` checks a file against all of this.
"""


def reference() -> str:
    """The page, as Markdown."""
    root = structural_schema(FederatedJob)["properties"]
    lines = [_HEADER]
    for section in ("spec", "status"):
        lines.extend(_section(section, root[section], with_defaults=section == "spec"))
    lines.append("## Rules over several fields\n")
    lines.extend(f"- `{rule.at}`: {rule.message}." for rule in RULES)
    return "\n".join(lines) + "\n"


def _section(path: str, node: Schema, with_defaults: bool) -> Iterator[str]:
    yield f"## {path}\n"
    yield f"{node['description']}\n"
    columns = ["field", "type", *(["default"] if with_defaults else []), "takes", "meaning"]
    yield _row(columns)
    yield _row(["---"] * len(columns))
    required = node.get("required", ())
    for name, child in node["properties"].items():
        default = "*required*" if name in required else _default(child)
        cells = [f"`{name}`", _type(child), *([default] if with_defaults else [])]
        yield _row([*cells, _bounds(child), child.get("description", "")])
    yield ""
    for name, child in node["properties"].items():
        inner = child.get("items", child)
        if "properties" in inner:
            suffix = "[]" if inner is not child else ""
            yield from _section(f"{path}.{name}{suffix}", inner, with_defaults)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(node: Schema) -> str:
    value = node.get("default")
    return "" if value in (None, {}) else f"`{shown(value)}`"


def _type(node: Schema) -> str:
    if "anyOf" in node:
        return "text or a whole number"
    if node["type"] == "array":
        return f"list of {_type(node['items']).removeprefix('a ')}"
    return TYPE_NAMES[node["type"]].removeprefix("a ")


def _bounds(node: Schema) -> str:
    parts: list[str] = []
    if "enum" in node:
        parts.append(" · ".join(f"`{option}`" for option in node["enum"]))
    inner = node.get("items", node)
    if "pattern" in inner:
        parts.append(PATTERN_HINTS[inner["pattern"]][0])
    if "minimum" in node and "maximum" in node:
        parts.append(f"{shown(node['minimum'])} to {shown(node['maximum'])}")
    elif "minimum" in node and "anyOf" not in node:
        parts.append(f"{shown(node['minimum'])} or more")
    for keyword, text in (
        ("maxLength", "at most {} characters"),
        ("maxItems", "at most {} items"),
        ("maxProperties", "at most {} names"),
    ):
        if keyword in node:
            parts.append(text.format(node[keyword]))
    return "; ".join(parts)


if __name__ == "__main__":
    print(reference(), end="")

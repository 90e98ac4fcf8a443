"""docs/reference/python.md, from the docstrings and signatures of the public names.

The page is the listing of the public surface as well: a test compares it with the code.
"""

from __future__ import annotations

import enum
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from pydantic import BaseModel

import fedjob
import fedjob.compat

_SECTION = re.compile(r"^(Args|Returns|Raises|Examples|Attributes):$")
_ENTRY = re.compile(r"^(\*{0,2}[\w.]+): ?(.*)$")
_HEAD = """# The Python SDK

Generated from the docstrings by `make generate`; do not edit. How the parts
play together: [Submit, follow and fetch from Python](../how-to/python.md).
"""


def page() -> str:
    """The whole page, as Markdown."""
    parts = [_HEAD]
    for title, module in (("fedjob", fedjob), ("fedjob.compat", fedjob.compat)):
        parts.append(f"## `{title}`\n")
        for name in names_of(module):
            parts.extend(_described(name, getattr(module, name)))
    return "\n".join(parts).rstrip() + "\n"


def names_of(module: ModuleType) -> list[str]:
    """Public names, without `__version__`."""
    return [name for name in module.__all__ if not name.startswith("__")]


def members_of(kind: type) -> list[tuple[str, Any]]:
    """Public methods and properties that a class of fedjob defines itself."""
    if issubclass(kind, enum.Enum | BaseException):
        return []
    kinds = FunctionType | property | classmethod | staticmethod
    return [
        (name, value)
        for name, value in vars(kind).items()
        if not name.startswith(("_", "model_")) and isinstance(value, kinds)
    ]


def signature(name: str, value: Any) -> str:
    """Name and arguments, with types and defaults, broken over lines where it is long."""
    found = inspect.signature(value)
    given = [item for item in found.parameters.values() if item.name not in _OWN]
    arguments = [_argument(item) for item in given]
    keyword = [item.kind is item.KEYWORD_ONLY for item in given]
    if any(keyword) and not any(item.kind is item.VAR_POSITIONAL for item in given):
        arguments.insert(keyword.index(True), "*")
    returns = found.return_annotation
    shown = "" if returns in (inspect.Signature.empty, "None", None) else f" -> {_type(returns)}"
    line = f"{name}({', '.join(arguments)}){shown}"
    if len(line) <= 84:
        return line
    return f"{name}(\n" + "".join(f"    {item},\n" for item in arguments) + f"){shown}"


_OWN = ("self", "cls")


def _argument(item: inspect.Parameter) -> str:
    stars = {item.VAR_POSITIONAL: "*", item.VAR_KEYWORD: "**"}.get(item.kind, "")
    text = f"{stars}{item.name}: {_type(item.annotation)}"
    return text if item.default is item.empty else f"{text} = {item.default!r}"


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return text.replace("resource.", "")


def _described(name: str, value: Any) -> Iterator[str]:
    yield f"### `{name}`\n"
    if isinstance(value, type):
        made = "__init__" in vars(value) and not issubclass(value, BaseException | enum.Enum)
        if made and not issubclass(value, BaseModel):
            text = signature(name, vars(value)["__init__"])
            yield _code(text.rpartition(" -> None")[0] or text)
        if issubclass(value, BaseException):
            yield f"Derives from `{value.__base__.__name__}`.\n" if value.__base__ else ""
        yield text_of(inspect.getdoc(value) or "")
        init = vars(value).get("__init__")
        if made and init is not None and init.__doc__ and not hasattr(value, "model_fields"):
            yield text_of(inspect.getdoc(init) or "")
        if issubclass(value, BaseModel):
            yield from _fields(value)
        if issubclass(value, enum.Enum) and len(value) < 20:
            names = " ".join(f"`{item.name}`" for item in value)
            yield textwrap.fill(names, 100, break_on_hyphens=False) + "\n"
        for member, found in members_of(value):
            yield f"#### `{name}.{member}`\n"
            function = getattr(found, "__func__", found)
            if isinstance(found, property):
                getter = found.fget
                if getter is not None:
                    yield _code(f"{member}: {_type(inspect.signature(getter).return_annotation)}")
            else:
                yield _code(signature(member, function))
            yield text_of(inspect.getdoc(function) or "")
    elif callable(value):
        yield _code(signature(name, value))
        yield text_of(inspect.getdoc(value) or "")


def _fields(kind: type[BaseModel]) -> Iterator[str]:
    fields = kind.model_fields
    if not fields:
        return
    yield "| field | default | is |\n|---|---|---|"
    for name, field in fields.items():
        default = "required" if field.is_required() else f"`{field.get_default()!r}`"
        if field.default_factory is not None:
            default = "empty"
        yield f"| `{name}` | {default} | {(field.description or '').replace('|', '/')} |"
    yield ""


def _code(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def text_of(docstring: str) -> str:
    """A Google docstring as Markdown."""
    out: list[str] = []
    section = ""
    for line in docstring.splitlines():
        match = _SECTION.match(line)
        if match:
            section = match[1]
            out.append(f"*{section}*\n")
        elif section == "Examples":
            out.append(line if line.strip() else "")
        elif section and line.startswith("    "):
            out.extend(_entry(line[4:], section))
        else:
            out.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip() + "\n"


def _entry(line: str, section: str) -> Iterable[str]:
    match = None if section == "Returns" else _ENTRY.match(line)
    if match:
        return [f"- `{match[1]}`: {match[2]}"]
    return [f"  {line.strip()}" if section != "Returns" else line.strip()]


if __name__ == "__main__":
    print(page(), end="")

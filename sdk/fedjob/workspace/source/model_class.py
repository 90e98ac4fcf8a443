"""The model class as its text shows it: bases and constructor, without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fedjob.errors import Fault

_OBJECT_BASES = frozenset({"object", "ABC", "abc.ABC", "Protocol", "typing.Protocol"})


@dataclass(frozen=True, slots=True)
class Constructor:
    """What a class's constructor takes, as far as the file shows.

    Attributes:
        visible: It is written in this file (or certainly takes nothing).
        parameters: Names that may be passed by keyword, `self` left out.
        required: Those of them without a default.
        any_keyword: It has `**kwargs`.
    """

    visible: bool
    parameters: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    any_keyword: bool = False


def class_fault(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef], file: str) -> Fault | None:
    """A fault when the class is certainly no torch module; None when it is one or may be."""
    written = list(_lineage(node, classes))
    if any(
        _unknown_bases(item, classes) or item.keywords or item.decorator_list for item in written
    ):
        return None
    methods = {name for item in written for name in _methods(item)}
    if {"state_dict", "load_state_dict"} <= methods:
        return None  # behaves like one
    return Fault(
        f"{file} line {node.lineno}: class {node.name}",
        "is no torch module: it has no torch.nn.Module among its bases",
        f"write `class {node.name}(nn.Module):` and call `super().__init__()` in its constructor",
    )


def constructor_of(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> Constructor:
    """The first `__init__` in the order in which Python looks for it, within this file."""
    if _is_dataclass(node):
        return Constructor(visible=False, any_keyword=True)
    for item in _lineage(node, classes):
        initializer = _methods(item).get("__init__")
        if initializer is not None:
            return _from_init(initializer)
        if any(
            base not in ("nn.Module", "torch.nn.Module") for base in _unknown_bases(item, classes)
        ):
            return Constructor(visible=False, any_keyword=True)
    return Constructor(visible=True)


def argument_faults(
    constructor: Constructor, class_name: str, given: Iterable[str], field: str
) -> list[Fault]:
    """`model.args` against the constructor: unknown names, and needed ones that are missing.

    Args:
        constructor: What the class takes.
        class_name: Its name, for the message.
        given: Names in `model.args`; `num_classes` is added for whoever takes it.
        field: Where the arguments stand, such as `spec.model.args`.
    """
    if not constructor.visible:
        return []
    names = set(given)
    takes = ", ".join(constructor.parameters) or "nothing"
    faults = [
        Fault(f"{field}.{name}", f"{class_name} does not take it; it takes {takes}", "remove it")
        for name in sorted(names - set(constructor.parameters))
        if not constructor.any_keyword
    ]
    faults += [
        Fault(
            field,
            f"{class_name} needs `{name}`",
            f"add `{name}`, or give it a default in the class",
        )
        for name in constructor.required
        if name not in names and name != "num_classes"
    ]
    return faults


def _from_init(function: ast.FunctionDef) -> Constructor:
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = len(arguments.defaults)
    optional = {argument.arg for argument in plain[len(plain) - defaults :]} if defaults else set()
    optional |= {
        argument.arg
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    }
    names = [argument.arg for argument in [*plain[1:], *arguments.kwonlyargs]]
    return Constructor(
        visible=not function.decorator_list,
        parameters=tuple(names),
        required=tuple(name for name in names if name not in optional),
        any_keyword=arguments.kwarg is not None,
    )


def _lineage(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> Iterable[ast.ClassDef]:
    """The class and its bases in this file, each once, depth first."""
    pending, seen = [node], set()
    while pending:
        item = pending.pop(0)
        if item.name in seen:
            continue
        seen.add(item.name)
        yield item
        bases = [classes[name] for base in item.bases if (name := ast.unparse(base)) in classes]
        pending = [*bases, *pending]


def _unknown_bases(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> list[str]:
    names = [ast.unparse(base) for base in node.bases]
    # `class Net(Net)` derives from an earlier class of that name, which is not in `classes`.
    known = (classes.keys() | _OBJECT_BASES) - {node.name}
    return [name for name in names if name not in known]


def _methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)

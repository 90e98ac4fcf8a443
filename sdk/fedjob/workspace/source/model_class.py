"""The model class as its text shows it: bases and constructor, without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fedjob.errors import Fault

_OBJECT_BASES = frozenset({"object", "ABC", "abc.ABC", "Protocol", "typing.Protocol"})


@dataclass(frozen=True, slots=True)
class ConfigFields:
    """A dataclass as its text shows it.

    Attributes:
        name: The class.
        fields: What its constructor takes.
        required: Those without a default.
    """

    name: str
    fields: tuple[str, ...]
    required: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Constructor:
    """What a class's constructor takes, as far as the file shows.

    Attributes:
        visible: It is written in this file (or certainly takes nothing).
        parameters: Names that may be passed by keyword, `self` left out.
        required: Those of them without a default.
        any_keyword: It has `**kwargs`.
        function: It is a function: nothing is passed on by its `**kwargs`.
        made: It is a model already, and takes nothing.
        configs: Parameters annotated with a dataclass of this file: its fields.
    """

    visible: bool
    parameters: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    any_keyword: bool = False
    function: bool = False
    made: bool = False
    configs: Mapping[str, ConfigFields] = field(default_factory=dict)


def class_fault(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef], file: str) -> Fault | None:
    """A fault when the class is certainly not a torch module; None when it is one or may be."""
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
        "is not a torch module: it has no torch.nn.Module among its bases",
        f"write `class {node.name}(nn.Module):` and call `super().__init__()` in its constructor",
    )


def constructor_of(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> Constructor:
    """The first `__init__` in the order in which Python looks for it, within this file."""
    if _is_dataclass(node):
        return Constructor(visible=False, any_keyword=True)
    for item in _lineage(node, classes):
        initializer = _methods(item).get("__init__")
        if initializer is not None:
            return _from_function(initializer, classes, skip=1)
        if any(
            base not in ("nn.Module", "torch.nn.Module") for base in _unknown_bases(item, classes)
        ):
            return Constructor(visible=False, any_keyword=True)
    return Constructor(visible=True)


def function_constructor(
    function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
    classes: Mapping[str, ast.ClassDef] | None = None,
) -> Constructor:
    """What a function that builds the model takes."""
    return replace(_from_function(function, classes or {}, skip=0), function=True)


def argument_faults(
    constructor: Constructor, class_name: str, given: Mapping[str, Any], field: str
) -> list[Fault]:
    """`model.args` against the constructor: unknown names, and needed ones that are missing.

    Args:
        constructor: What the class takes.
        class_name: Its name, for the message.
        given: `model.args`; `num_classes` is added for whoever takes it.
        field: Where the arguments stand, such as `spec.model.args`.
    """
    if constructor.made and given:
        problem = f"{class_name} is a model already and takes no arguments"
        return [Fault(field, problem, "leave it out, or name the class or a function instead")]
    if not constructor.visible or constructor.made:
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
    for name, config in constructor.configs.items():
        if isinstance(given.get(name), Mapping):
            faults += _config_faults(config, given[name], f"{field}.{name}")
    return faults


def _config_faults(config: ConfigFields, given: Mapping[str, Any], field: str) -> Iterator[Fault]:
    """A mapping that becomes a dataclass has its fields."""
    takes = ", ".join(config.fields) or "nothing"
    for name in sorted(given.keys() - set(config.fields)):
        problem = f"{config.name} does not take it; it takes {takes}"
        yield Fault(f"{field}.{name}", problem, "remove it")
    for name in config.required:
        if name not in given:
            fix = f"add `{name}`, or give it a default in the class"
            yield Fault(field, f"{config.name} needs `{name}`", fix)


def _from_function(
    function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
    classes: Mapping[str, ast.ClassDef],
    *,
    skip: int,
) -> Constructor:
    """What a function takes by keyword, without its first `skip` parameters (`self`)."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = len(arguments.defaults)
    optional = {argument.arg for argument in plain[len(plain) - defaults :]} if defaults else set()
    optional |= {
        argument.arg
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    }
    taken = [*plain[skip:], *arguments.kwonlyargs]
    configs = {
        argument.arg: config
        for argument in taken
        if (config := _config_of(argument.annotation, classes)) is not None
    }
    return Constructor(
        visible=not getattr(function, "decorator_list", ()),
        parameters=tuple(argument.arg for argument in taken),
        required=tuple(argument.arg for argument in taken if argument.arg not in optional),
        any_keyword=arguments.kwarg is not None,
        configs=configs,
    )


def _config_of(
    annotation: ast.expr | None, classes: Mapping[str, ast.ClassDef]
) -> ConfigFields | None:
    """The fields of the dataclass that an annotation names; None where the text does not tell."""
    name = None if annotation is None else ast.unparse(annotation).strip("'\"")
    node = classes.get(name or "")
    if node is None or node.bases or node.keywords:
        return None
    if [ast.unparse(item).partition("(")[0] for item in node.decorator_list] not in (
        ["dataclass"],
        ["dataclasses.dataclass"],
    ):
        return None
    if "__init__" in _methods(node) or "__post_init__" in _methods(node):
        return None
    fields: list[str] = []
    required: list[str] = []
    for item in node.body:
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        written = ast.unparse(item.annotation)
        if "ClassVar" in written or "KW_ONLY" in written:
            continue
        if isinstance(item.value, ast.Call) and "init" in {k.arg for k in item.value.keywords}:
            continue
        fields.append(item.target.id)
        bare = isinstance(item.value, ast.Call) and ast.unparse(item.value.func).endswith("field")
        if item.value is None or (
            bare
            and isinstance(item.value, ast.Call)
            and not {k.arg for k in item.value.keywords} & {"default", "default_factory", None}
        ):
            required.append(item.target.id)
    return ConfigFields(node.name, tuple(fields), tuple(required))


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

"""The classes that NVFlare builds: fedjob's own, or the user's in their place (rows 32 to 34)."""

from __future__ import annotations

import ast
import difflib
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fedjob.errors import Fault, InvalidInputError
from fedjob.spec.models.components import ComponentRef
from fedjob.workspace.source.decode import read_source
from fedjob.workspace.source.imports import RUNTIME_MODULES, modules_of
from fedjob.workspace.source.model_class import constructor_of
from fedjob.workspace.source.model_file import parse_source
from fedjob.workspace.source.statements import top_level

CUSTOM = "app/custom/"
_OWN_BASES = frozenset({"TrainExecutor", "FedjobExecutor", "FedjobPersistor"})


@dataclass(frozen=True, slots=True)
class Component:
    """A class path and the arguments it is built with."""

    path: str
    args: Mapping[str, Any]


def component(
    ref: ComponentRef | None,
    own: Component,
    field: str,
    files: Mapping[str, bytes],
    there: set[str],
) -> Component:
    """The user's class where there is one, else fedjob's own.

    The user's class gets its own arguments, and of fedjob's those that its constructor takes as far
    as its file shows: all of them where it derives from fedjob's class and leaves the constructor.

    Args:
        ref: `spec.components.<name>`.
        own: fedjob's class and arguments.
        field: Such as `spec.components.executor`.
        files: The job folder's Python files by path.
        there: Top-level modules that are installed where it runs.

    Raises:
        InvalidInputError: Its module or class is not there.
    """
    if ref is None:
        return own
    module, _, class_name = ref.path.rpartition(".")
    name = f"{CUSTOM}{module.replace('.', '/')}.py"
    if name not in files:
        name = f"{CUSTOM}{module.replace('.', '/')}/__init__.py"
    if name not in files:
        if module.partition(".")[0] in there:
            return Component(ref.path, ref.args)
        known = sorted(path.removeprefix(CUSTOM)[:-3] for path in files if path.startswith(CUSTOM))
        problem = f"module {module} is neither in app/custom ({', '.join(known)}) nor installed"
        fix = (
            "write the class into model_def.py, ship its file beside it (spec.model.files, "
            "--model-file DIR), or add its package to spec.model.requirements"
        )
        raise InvalidInputError([Fault(f"{field}.path", problem, fix)])
    tree = parse_source(read_source(files[name], name).text, name)
    classes = {node.name: node for node in top_level(tree) if isinstance(node, ast.ClassDef)}
    if class_name not in classes:
        near = difflib.get_close_matches(class_name, classes, n=1)
        fix = f"did you mean {module}.{near[0]}?" if near else "write the class there"
        raise InvalidInputError([Fault(f"{field}.path", f"{name} has no class {class_name}", fix)])
    node = classes[class_name]
    taken = _taken(node, classes, own.args)
    return Component(ref.path, {**taken, **ref.args})


def installed_modules(requirements: Collection[str]) -> set[str]:
    """Top-level modules of the runtime image with these requirements."""
    return set(RUNTIME_MODULES | sys.stdlib_module_names).union(*map(modules_of, requirements))


def _taken(
    node: ast.ClassDef, classes: Mapping[str, ast.ClassDef], own: Mapping[str, Any]
) -> dict[str, Any]:
    constructor = constructor_of(node, classes)
    bases = {ast.unparse(base).rpartition(".")[2] for c in classes.values() for base in c.bases}
    inherits = bool(bases & _OWN_BASES)
    if constructor.any_keyword and inherits:
        return dict(own)
    return {name: value for name, value in own.items() if name in constructor.parameters}

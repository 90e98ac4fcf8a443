"""What a class or a function that makes a model needs to be shipped (row 25).

A module's file travels whole, with the modules beside it that it imports; of a script and of a
notebook only what the class needs does, because running the rest again would submit again.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from fedjob.errors import Fault
from fedjob.workspace.files.folder import MODEL_FILE
from fedjob.workspace.source.decode import read_source
from fedjob.workspace.source.extract import file_of, source_of
from fedjob.workspace.source.imports import RUNTIME_MODULES
from fedjob.workspace.source.local_modules import neighbours_of
from fedjob.workspace.source.model_file import InvalidSourceError
from fedjob.workspace.source.signatures import FORM_A, FORM_B, VALIDATE

_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class ModelCode:
    """A model file made from a class, and what comes with it.

    Attributes:
        text: model_def.py.
        class_name: What makes the model in it.
        files: Modules beside it, by path relative to it.
        args: Keyword arguments that a `functools.partial` held.
        requirements: The installed package that the class is from, as pip takes it.
    """

    text: str
    class_name: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    args: Mapping[str, Any] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()


def code_of(model: Callable[..., Any]) -> ModelCode:
    """The code of a model class, of a function that returns a model, or of a partial of these.

    Args:
        model: Written in a module, a package, a script, a notebook's cell or at the prompt, or
            from an installed package.

    Raises:
        InvalidSourceError: It is something else, or its source cannot be had.
    """
    args: dict[str, Any] = {}
    while isinstance(model, functools.partial):
        if model.args:
            problem, fix = "holds positional arguments", "give them by keyword"
            raise InvalidSourceError([Fault(_shown(model), problem, fix)])
        args = {**model.keywords, **args}
        model = model.func
    if not isinstance(model, type | types.FunctionType):
        raise InvalidSourceError([_not_code(model)])
    if "<locals>" in model.__qualname__ or model.__qualname__ == "<lambda>":
        problem = "is written inside a function" if "<locals>" in model.__qualname__ else "no name"
        raise InvalidSourceError([Fault(_shown(model), problem, "move it to the top level")])
    code = _code_of(model)
    return ModelCode(code.text, code.class_name, code.files, args, code.requirements)


def _code_of(model: type | types.FunctionType) -> ModelCode:
    path = file_of(model)
    name = model.__qualname__
    if path is None:
        text = source_of(model)
        return ModelCode(text, name, neighbours_of(Path.cwd() / MODEL_FILE, text).files)
    if model.__module__ == "__main__":
        text = source_of(model)
        return ModelCode(text, name, neighbours_of(path.parent / MODEL_FILE, text).files)
    if any(part in _INSTALLED for part in path.parts) or _is_standard(model.__module__):
        return _installed(model)
    if "." in model.__module__ or path.name == "__init__.py":
        return _package(model, path)
    text = read_source(path.read_bytes(), str(path)).text
    return ModelCode(text, name, neighbours_of(path, text).files)


def _package(model: type | types.FunctionType, path: Path) -> ModelCode:
    """A module of a package: the package travels whole, and model_def.py imports from it."""
    parts = model.__module__.split(".")
    above = path.parents[len(parts) - (path.name != "__init__.py")]
    module = vars(sys.modules[model.__module__])
    beside = [name for name in (FORM_A, FORM_B, VALIDATE) if callable(module.get(name))]
    outer = model.__qualname__.partition(".")[0]
    text = f"from {model.__module__} import {', '.join([outer, *beside])}\n"
    return ModelCode(text, model.__qualname__, neighbours_of(above / MODEL_FILE, text).files)


def _installed(model: type | types.FunctionType) -> ModelCode:
    """A class of an installed package, which the image installs too."""
    top = model.__module__.partition(".")[0]
    outer = model.__qualname__.partition(".")[0]
    text = f"from {model.__module__} import {outer}\n"
    required: tuple[str, ...] = ()
    if top not in RUNTIME_MODULES and not _is_standard(top):
        names = packages_distributions().get(top, ())
        required = tuple(f"{name}=={version(name).partition('+')[0]}" for name in names[:1])
    return ModelCode(text, model.__qualname__, requirements=required)


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names - {"__main__"}


def _shown(value: object) -> str:
    name = getattr(value, "__qualname__", None)
    return str(name) if name else repr(value)[:80]


def _not_code(model: object) -> Fault:
    kind = type(model).__name__
    if callable(getattr(model, "state_dict", None)):
        problem = f"is a model that is made already (a {kind})"
        fix = f"pass the class {kind} and args=...; to start from its weights, save its state_dict"
        return Fault("model", problem, f"{fix} to a file and pass checkpoint=FILE")
    problem = f"is {_article(kind)} {kind}, not a class or a function that returns a model"
    return Fault("model", problem, "pass the class itself, or the path of model_def.py")


def _article(text: str) -> str:
    return "an" if text[:1].lower() in "aeiou" else "a"

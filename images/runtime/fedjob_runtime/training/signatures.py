"""Which form a training function has, and how its signature is called (CONTRACT section 1)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any

from fedjob_runtime.training.errors import TrainFunctionInvalidError
from fedjob_runtime.training.generated import fl_train as generated_fl_train

Function = Callable[..., Any]

_DOCUMENTED = "fl_train_model(payload), (payload, out_dir) or (payload, out_dir, logger)"
_PUBLISHED = "(model, env, out_dir, logger=None)"


class Form(StrEnum):
    """How the user's training function is called."""

    DOCUMENTED = "A"
    """`fl_train_model(payload)`, with out_dir and logger where it takes them."""
    PUBLISHED = "B"
    """`fl_train(model, env, out_dir, logger=None)`."""
    GENERATED = "C"
    """None written: the loop of `generated.py`."""


@dataclass(frozen=True, slots=True)
class TrainFunction:
    """A training function and its form."""

    form: Form
    name: str
    function: Function


def find_train_function(module: ModuleType, name: str | None) -> TrainFunction:
    """Finds the training function.

    Args:
        module: The user's module.
        name: spec.model.trainFunction; None takes `fl_train_model`, else `fl_train`, else the
            generated loop.

    Raises:
        TrainFunctionInvalidError: There is none of that name, or its signature fits no form.
    """
    if name is None:
        name = next((n for n in ("fl_train_model", "fl_train") if hasattr(module, n)), None)
        if name is None:
            return TrainFunction(Form.GENERATED, "fl_train", generated_fl_train)
    function = _function(module, name)
    if function is generated_fl_train:
        return TrainFunction(Form.GENERATED, name, function)
    if name != "fl_train" and (
        name == "fl_train_model" or "payload" in inspect.signature(function).parameters
    ):
        _check_documented(function, name)
        return TrainFunction(Form.DOCUMENTED, name, function)
    _check_published(function, name)
    return TrainFunction(Form.PUBLISHED, name, function)


def find_validate_function(module: ModuleType, name: str = "fl_validate") -> Function | None:
    """The user's `fl_validate(model, env, out_dir, logger=None)`, or None.

    Raises:
        TrainFunctionInvalidError: Its signature is another.
    """
    if not hasattr(module, name):
        return None
    function = _function(module, name)
    _check_published(function, name)
    return function


def call_documented(function: Function, payload: object, out_dir: object, logger: object) -> Any:
    """Calls form A, by keyword, with what it accepts."""
    offered = {"payload": payload, "out_dir": out_dir, "logger": logger}
    accepted = _accepted(function)
    return function(**{name: value for name, value in offered.items() if name in accepted})


def call_published(
    function: Function, model: object, env: object, out_dir: object, logger: object
) -> Any:
    """Calls form B or fl_validate; the first three arguments may have other names."""
    accepted = _accepted(function)
    keywords = {"logger": logger} if "logger" in accepted else {}
    if {"model", "env", "out_dir"} <= accepted:
        return function(model=model, env=env, out_dir=out_dir, **keywords)
    return function(model, env, out_dir, **keywords)


def _function(module: ModuleType, name: str) -> Function:
    function = getattr(module, name, None)
    file = f"{module.__name__}.py"
    if function is None:
        raise TrainFunctionInvalidError(
            f"{file} has no function {name}",
            "write it, or give its name in spec.model.trainFunction",
        )
    if not callable(function) or inspect.isclass(function):
        raise TrainFunctionInvalidError(
            f"{name} in {file} is a {type(function).__name__}, not a function",
            f"define {name} there",
        )
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise TrainFunctionInvalidError(
            f"{name} in {file} is async or a generator",
            "write a plain function that returns a dict",
        )
    return function  # type: ignore[no-any-return]


def _accepted(function: Function) -> set[str]:
    """Names that can be passed by keyword; with **kwargs, all that we have."""
    parameters = inspect.signature(function).parameters.values()
    names = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        positional = {p.name for p in parameters if p.kind is p.POSITIONAL_ONLY}
        names |= {"payload", "out_dir", "logger"} - positional
    return names


def _check_documented(function: Function, name: str) -> None:
    offered = dict.fromkeys({"payload", "out_dir", "logger"} & _accepted(function))
    try:
        inspect.signature(function).bind(**offered)
        fits = "payload" in offered
    except TypeError:
        fits = False
    if not fits:
        raise TrainFunctionInvalidError(
            f"{name}{inspect.signature(function)} cannot be called with payload, out_dir, logger",
            f"write it as {_DOCUMENTED}; give other parameters a default",
        )


def _check_published(function: Function, name: str) -> None:
    signature = inspect.signature(function)
    keywords = {"logger": None} if "logger" in _accepted(function) else {}
    for args, named in (
        ((None, None, None), keywords),
        ((), {"model": None, "env": None, "out_dir": None, **keywords}),
    ):
        try:
            signature.bind(*args, **named)
        except TypeError:
            continue
        return
    raise TrainFunctionInvalidError(
        f"{name}{signature} cannot be called with model, env, out_dir and logger",
        f"write it as {name}{_PUBLISHED}, or as {_DOCUMENTED}; give other parameters a default",
    )

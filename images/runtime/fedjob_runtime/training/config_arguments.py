"""Arguments from JSON for constructors that take configuration objects."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from fedjob_runtime.training.errors import ModelInvalidError


def with_configs(
    maker: Callable[..., Any], keywords: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Turns mappings into the dataclass or pydantic model that the argument is annotated with.

    Args:
        maker: The class or function.
        keywords: What it is called with.
        where: Whose arguments they are, for the error.

    Raises:
        ModelInvalidError: A mapping does not fit its configuration class; names the field.
    """
    hints = _hints(maker)
    parameters = inspect.signature(maker).parameters
    result = dict(keywords)
    for name, value in keywords.items():
        wanted = hints.get(name)
        if wanted is None and name in parameters:
            # Not annotated: the default may be a configuration.
            wanted = type(parameters[name].default)
        result[name] = _built(value, wanted, f"{where}: {name}")
    return result


def _built(value: Any, wanted: Any, where: str) -> Any:
    if isinstance(value, list):
        items = [a for a in typing.get_args(wanted) if a is not Ellipsis]
        return [_built(item, items[0], where) for item in value] if len(items) == 1 else value
    if not isinstance(value, Mapping):
        return value
    for option in _options(wanted):
        if inspect.isclass(option) and dataclasses.is_dataclass(option):
            return _dataclass(value, option, where)
        if inspect.isclass(option) and hasattr(option, "model_validate"):
            try:
                return option.model_validate(value)
            except ValueError as error:
                raise ModelInvalidError(f"{where}: {error}", "correct spec.model.args") from error
    return value


def _dataclass(value: Mapping[str, Any], wanted: type, where: str) -> Any:
    hints = _hints(wanted)
    fields = {
        name: _built(item, hints.get(name), f"{where}.{name}") for name, item in value.items()
    }
    try:
        return wanted(**fields)
    except TypeError as error:
        takes = ", ".join(f.name for f in dataclasses.fields(wanted) if f.init)
        raise ModelInvalidError(
            f"{where} does not fit {wanted.__name__}: {error}",
            f"{wanted.__name__} takes {takes}; correct spec.model.args",
        ) from error


def _options(wanted: Any) -> tuple[Any, ...]:
    """The classes of `Config | None`, or the one that is annotated."""
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return typing.get_args(wanted)
    return (wanted,)


def _hints(maker: Any) -> dict[str, Any]:
    """Annotations as classes; where one cannot be resolved, those that are classes already."""
    function = maker.func if hasattr(maker, "func") else maker
    target = function.__init__ if inspect.isclass(function) else function
    if inspect.isclass(function) and dataclasses.is_dataclass(function):
        target = function
    try:
        return typing.get_type_hints(target)
    except (NameError, TypeError, AttributeError, SyntaxError):
        return dict(getattr(target, "__annotations__", {}))

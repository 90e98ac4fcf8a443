"""Building the author's model from the name in spec.model.className."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fedjob_runtime.training.config_arguments import with_configs
from fedjob_runtime.training.errors import ModelInvalidError
from fedjob_runtime.training.model_state import model_weights, set_weights
from fedjob_runtime.training.tensors.tensor_types import require_averageable
from fedjob_runtime.training.user_code.guard import invalid_model
from fedjob_runtime.training.user_code.module import add_set_weights, load_user_module

__all__ = ["build_model", "load_user_module", "model_weights", "set_weights"]

_CLASS_NAME = "write the model's name in spec.model.className"


def build_model(
    module: ModuleType, class_name: str, args: Mapping[str, Any], num_classes: int
) -> nn.Module:
    """Builds the author's model.

    Args:
        module: As `load_user_module` gives it.
        class_name: What makes the model: a class derived from `torch.nn.Module`, a function or
            functools.partial that returns a model, or a name bound to a model, which is copied.
            `Outer.Inner` for a nested class.
        args: Keyword arguments (spec.model.args). A mapping becomes a dataclass or pydantic model
            where the argument is annotated with one.
        num_classes: Passed too where it is above 0, it is taken and `args` does not have it.

    Returns:
        The model, on the CPU, with a `set_weights(dict)` method.

    Raises:
        ModelInvalidError: No such name, arguments that it does not take, it raised, or what it made
            cannot be federated.
    """
    maker = _find(module, class_name)
    if isinstance(maker, nn.Module):
        if args:
            raise ModelInvalidError(
                f"{class_name} is a model already and takes no arguments, given {_shown(args)}",
                "leave spec.model.args out, or name the class or a function instead",
            )
        # Each caller gets one of its own, with the weights that it had at import.
        model: object = copy.deepcopy(maker)
    else:
        model = _made(module, maker, class_name, args, num_classes)
    if not isinstance(model, nn.Module):
        raise ModelInvalidError(
            f"{class_name} returned a {type(model).__name__}, not a torch.nn.Module",
            "return the model from it",
        )
    _check_model(model, class_name)
    add_set_weights(type(model))
    if not hasattr(model, "set_weights"):
        # torch's own class, such as nn.Sequential: other models of that class stay as they are.
        model.__dict__["set_weights"] = functools.partial(set_weights, model)
    return model


def _made(
    module: ModuleType,
    maker: Callable[..., Any],
    class_name: str,
    args: Mapping[str, Any],
    num_classes: int,
) -> object:
    keywords = dict(args)
    if num_classes > 0 and _takes(maker, "num_classes"):
        keywords.setdefault("num_classes", num_classes)
    signature = inspect.signature(maker)
    try:
        signature.bind(**keywords)
    except TypeError as error:
        raise ModelInvalidError(
            f"{class_name}{signature}: {error}, given {_shown(keywords)}",
            "correct spec.model.args (num_classes comes from spec.training.numClasses)",
        ) from error
    folder = Path(str(module.__file__)).parent
    keywords = with_configs(maker, keywords, f"spec.model.args of {class_name}")
    try:
        return maker(**keywords)
    except BaseException as error:
        raise invalid_model(f"{class_name}({_shown(keywords)}) failed", error, folder) from error


def _find(module: ModuleType, class_name: str) -> Any:
    found: Any = module
    for part in class_name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, nn.Module) or (inspect.isclass(found) and issubclass(found, nn.Module)):
        return found
    file = Path(str(module.__file__)).name
    if found is None:
        problem = f"{class_name} does not exist in {file}"
    elif inspect.isclass(found):
        problem = f"{class_name} in {file} is not a class derived from torch.nn.Module"
    elif callable(found):
        return found
    else:
        problem = (
            f"{class_name} in {file} is a {type(found).__name__}: not a class derived from "
            "torch.nn.Module, a function that returns a model, or a model"
        )
    models = sorted(
        name
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
    )
    offer = (
        f"it has {', '.join(models)}" if models else "it has no class derived from torch.nn.Module"
    )
    raise ModelInvalidError(f"{problem} ({offer})", _CLASS_NAME)


def _takes(maker: Callable[..., Any], name: str) -> bool:
    """Whether it takes `name`; a constructor's **kwargs are passed on to the next class's."""
    if isinstance(maker, functools.partial) and name in maker.keywords:
        return False
    if not inspect.isclass(maker):
        parameter = inspect.signature(maker).parameters.get(name)
        return parameter is not None and parameter.kind is not inspect.Parameter.POSITIONAL_ONLY
    for base in maker.__mro__:
        constructor = base.__dict__.get("__init__")
        if base is nn.Module:
            return False
        if constructor is None:
            continue
        parameters = inspect.signature(constructor).parameters
        if name in parameters:
            return parameters[name].kind is not inspect.Parameter.POSITIONAL_ONLY
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            return False
    return False


def _check_model(model: nn.Module, class_name: str) -> None:
    state = {k: v for k, v in model.state_dict().items() if isinstance(v, Tensor)}
    if not state:
        raise ModelInvalidError(f"{class_name} has no weights", "assign its layers in __init__")
    lazy = [name for name, value in state.items() if is_lazy(value)]
    if lazy:
        raise ModelInvalidError(
            f"{class_name}.{lazy[0]} gets its shape at the first batch (a lazy module)",
            "give the layer its input size, such as nn.Linear(128, 10)",
            tensor=lazy[0],
        )
    require_averageable(model.state_dict(), class_name)
    model_weights(model)  # raises where the extra state of a module cannot travel


def _shown(keywords: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}"[:80] for name, value in keywords.items())

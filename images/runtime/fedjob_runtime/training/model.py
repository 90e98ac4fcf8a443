"""The user's model_def.py: loading it, building its model class, giving the model its weights."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fedjob_runtime.training.errors import ModelInvalidError, TrainingError
from fedjob_runtime.training.portable import portable
from fedjob_runtime.training.tensor_types import require_averageable
from fedjob_runtime.training.user_code import fix_of, place_of, summary_of, tail_of
from fedjob_runtime.training.weights_check import check_names_and_shapes


def load_user_module(folder: Path, module: str) -> ModuleType:
    """Imports `module` from `folder`, where its own imports of neighbouring files work too.

    Args:
        folder: The job folder's app/custom.
        module: Such as `model_def`; loaded once a process for the same file.

    Returns:
        The module; every model class in it has `set_weights`.

    Raises:
        ModelInvalidError: There is no such file, or it raises; with its line and traceback's last
            lines.
    """
    folder = folder.resolve()
    file = folder / f"{module}.py"
    if not module.isidentifier() or not file.is_file():
        raise ModelInvalidError(f"{file} does not exist", f"put {module}.py into {folder}")
    loaded = sys.modules.get(module)
    if loaded is not None and getattr(loaded, "__file__", None) == str(file):
        return loaded
    if module in sys.stdlib_module_names:
        raise ModelInvalidError(
            f"{file.name} has the name of a standard library module",
            "rename it, such as model_def.py",
        )
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(module, file)
    if spec is None or spec.loader is None:
        raise ModelInvalidError(f"{file} cannot be imported", "give a Python source file")
    created = importlib.util.module_from_spec(spec)
    sys.modules[module] = created
    try:
        spec.loader.exec_module(created)
    except BaseException as error:
        del sys.modules[module]
        raise _invalid(f"{file.name} cannot be imported", error, folder) from error
    for value in list(vars(created).values()):
        if inspect.isclass(value) and value.__module__.partition(".")[0] != "torch":
            _mix_in(value)
    return created


def build_model(
    module: ModuleType, class_name: str, args: Mapping[str, Any], num_classes: int
) -> nn.Module:
    """Builds the user's model.

    Args:
        module: As `load_user_module` gives it.
        class_name: The class, a `torch.nn.Module`.
        args: Keyword arguments of its constructor (spec.model.args).
        num_classes: Passed too where it is above 0, the constructor takes it and `args` does not
            have it.

    Returns:
        The model, on the CPU, with a `set_weights(dict)` method.

    Raises:
        ModelInvalidError: No such class, arguments that it does not take, its constructor raised,
            or it has nothing to federate.
    """
    model_class = _find_class(module, class_name)
    keywords = dict(args)
    if num_classes > 0 and _takes(model_class, "num_classes"):
        keywords.setdefault("num_classes", num_classes)
    try:
        inspect.signature(model_class).bind(**keywords)
    except TypeError as error:
        raise ModelInvalidError(
            f"{class_name}{inspect.signature(model_class)}: {error}, given {_shown(keywords)}",
            "correct spec.model.args (num_classes comes from spec.training.numClasses)",
        ) from error
    folder = Path(str(module.__file__)).parent
    try:
        model = model_class(**keywords)
    except BaseException as error:
        raise _invalid(f"{class_name}({_shown(keywords)}) failed", error, folder) from error
    _check_model(model, class_name)
    _mix_in(model_class)
    return model


def set_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Loads all weights into a model, in place; none is left as it was.

    Args:
        model: Any module; on any device.
        weights: Every tensor of its state dict by name, of its shape; on any device, in any dtype
            that can be cast to the model's.

    Raises:
        WeightsError: Names or shapes do not fit; the message names the tensors. Nothing was loaded.
    """
    check_names_and_shapes(weights, _tensors(model), "")
    # Not strict: a module's extra state, which is no tensor, does not travel.
    model.load_state_dict(dict(weights), strict=False)


def model_weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors, on the CPU, sharing nothing with each other."""
    return portable(model.state_dict())


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def _mix_in(model_class: type) -> None:
    """Gives the class a `set_weights` where it, and its bases, have none."""
    if (
        issubclass(model_class, nn.Module)
        and model_class is not nn.Module
        and not hasattr(model_class, "set_weights")
    ):
        # On the class, not in a subclass: type(model), pickling and deepcopy stay as they were, and
        # the models that the user's function builds itself have it too.
        model_class.set_weights = set_weights  # type: ignore[attr-defined]


def _find_class(module: ModuleType, class_name: str) -> type[nn.Module]:
    found = getattr(module, class_name, None)
    file = Path(str(module.__file__)).name
    if inspect.isclass(found) and issubclass(found, nn.Module):
        return found
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
    problem = "does not exist" if found is None else "is not a class derived from torch.nn.Module"
    raise ModelInvalidError(
        f"{class_name} in {file} {problem} ({offer})",
        "write the model's class name in spec.model.className",
    )


def _takes(model_class: type[nn.Module], name: str) -> bool:
    """Whether the constructor takes `name`; **kwargs are taken to go on to the next class's."""
    for base in model_class.__mro__:
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
    lazy = [name for name, value in model.state_dict().items() if is_lazy(value)]
    if lazy:
        raise ModelInvalidError(
            f"{class_name}.{lazy[0]} gets its shape at the first batch (a lazy module)",
            "give the layer its input size, such as nn.Linear(128, 10)",
            tensor=lazy[0],
        )
    tensors = _tensors(model)
    if not tensors:
        raise ModelInvalidError(f"{class_name} has no weights", "assign its layers in __init__")
    require_averageable(model.state_dict(), class_name)


def _invalid(problem: str, error: BaseException, folder: Path) -> TrainingError:
    place = place_of(error, folder)
    where = f" ({place})" if place else ""
    tail = tail_of(error, folder)
    return ModelInvalidError(f"{problem}: {summary_of(error)}{where}:\n{tail}\n", fix_of(error))


def _shown(keywords: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}"[:80] for name, value in keywords.items())

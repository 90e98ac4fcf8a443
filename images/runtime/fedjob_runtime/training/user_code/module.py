"""The author's model_def.py as a module."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

from torch import nn

from fedjob_runtime.training.errors import ModelInvalidError
from fedjob_runtime.training.model_state import set_weights
from fedjob_runtime.training.user_code.guard import invalid_model


def load_user_module(folder: Path, module: str) -> ModuleType:
    """Imports `module` from `folder`, where its imports of files beside it work too.

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
        raise invalid_model(f"{file.name} cannot be imported", error, folder) from error
    for value in list(vars(created).values()):
        if inspect.isclass(value):
            add_set_weights(value)
    return created


def add_set_weights(model_class: type) -> None:
    """Gives a model class a `set_weights` method, unless it or a base has one, or it is torch's."""
    if (
        issubclass(model_class, nn.Module)
        and model_class.__module__.partition(".")[0] != "torch"
        and not hasattr(model_class, "set_weights")
    ):
        # On the class, not in a subclass: type(model), pickling and deepcopy stay as they were, and
        # the models that the user's function builds itself have it too.
        model_class.set_weights = set_weights  # type: ignore[attr-defined]

"""A model file made from a class that lives in a module, a script or a notebook (row 25).

The class takes with it what it uses of its own file: imports, constants, functions, base classes,
and the training functions beside it. In a notebook its file is all the cells that have run.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import re
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from fedjob.errors import Fault
from fedjob.workspace.source.closure import Statement, needed_statements, statements_of
from fedjob.workspace.source.model_file import InvalidSourceError
from fedjob.workspace.source.signatures import FORM_A, FORM_B, VALIDATE

_CELL = re.compile(r"ipython-input|[/\\]ipykernel_\d+[/\\]|^<python-input|^<input|^<cell")
"""Names that IPython, ipykernel (`/tmp/ipykernel_<pid>/<hash>.py`) and Python's prompt give to what
was typed; ipykernel's own modules are in linecache too once it has warned of anything."""
_WRITE_FILE = "write it and its imports to a model_def.py, and give that file"
_LITERALS = (int, float, str, bytes, bool, type(None))


Target: TypeAlias = type | types.FunctionType
"""A class, or a function that returns a model."""


def source_of(cls: Target) -> str:
    """The text of a model_def.py with this class and what it uses of its own file.

    Args:
        cls: A class, or a function that returns a model, written in a file, a script, a notebook's
            cell or at the prompt.

    Returns:
        Python source: it defines the class under its own name, and `fl_train_model`, `fl_train`
        and `fl_validate` where they stand beside it.

    Raises:
        InvalidSourceError: Its source cannot be had: built in, made by a call, in a function.
    """
    if not isinstance(cls, type | types.FunctionType):
        problem = f"is an object of {type(cls).__name__}, not a class"
        raise InvalidSourceError([Fault(repr(cls)[:80], problem, "pass the class itself")])
    if "." in cls.__qualname__:
        raise _refused(
            cls, "is written inside a function or another class", "move it to the top level"
        )
    path = file_of(cls)
    namespace = _namespace_of(cls)
    if path is not None:
        statements = _parsed(cls, "".join(linecache.getlines(str(path))) or path.read_text("utf-8"))
        last_only = False
    else:
        statements = _cells(cls)
        last_only = True
    if not any(_writes_class(statement, cls.__name__) for statement in statements):
        raise _refused(cls, "has no source that can be read", _WRITE_FILE)
    beside = (FORM_A, FORM_B, VALIDATE)
    bound = {name for statement in statements for name in statement.binds}
    wanted = [cls.__name__, *(name for name in beside if name in bound)]
    taken, missing = needed_statements(statements, wanted, last_only=last_only)
    added = _from_namespace(missing, namespace)
    return _joined(taken, added)


def _writes_class(statement: Statement, name: str) -> bool:
    return name in statement.binds and any(
        isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
        for node in ast.walk(statement.node)
    )


def _refused(cls: Target, problem: str, fix: str) -> InvalidSourceError:
    kind = "class" if isinstance(cls, type) else "function"
    return InvalidSourceError([Fault(f"{kind} {cls.__qualname__}", problem, fix)])


def _parsed(cls: Target, text: str) -> list[Statement]:
    try:
        return statements_of(text)
    except SyntaxError as error:
        problem = f"stands in a file that is not Python now (line {error.lineno}: {error.msg})"
        raise _refused(cls, problem, "save the file as it was when it was imported") from None


def file_of(cls: Target) -> Path | None:
    """The .py file that holds the class or function; None for a notebook or a prompt.

    Raises:
        InvalidSourceError: It is built in, or comes from something that is not Python source.
    """
    module = sys.modules.get(cls.__module__)
    if cls.__module__ == "builtins" or (module is None and cls.__module__ != "__main__"):
        raise _refused(cls, "has no source that can be read", _WRITE_FILE)
    name = getattr(module, "__file__", None)
    if not name or _has_cell_code(cls):
        return None
    path = Path(name)
    if path.suffix != ".py" or not path.is_file():
        raise _refused(cls, f"comes from {path.name}, which is not Python source", _WRITE_FILE)
    return path


def _namespace_of(cls: Target) -> Mapping[str, object]:
    for item in _items(cls):
        function = inspect.unwrap(item) if callable(item) else item
        if isinstance(function, types.FunctionType) and function.__module__ == cls.__module__:
            return function.__globals__
    return vars(sys.modules[cls.__module__])


def _has_cell_code(cls: Target) -> bool:
    return any(
        isinstance(item, types.FunctionType) and _CELL.search(item.__code__.co_filename)
        for item in _items(cls)
    )


def _items(cls: Target) -> Iterable[object]:
    """The functions among them were compiled from the text of the class, or of the function."""
    return vars(cls).values() if isinstance(cls, type) else [cls]


def _cells(cls: Target) -> list[Statement]:
    """The statements of all cells that ran, in order; cells that are not Python are left out."""
    statements: list[Statement] = []
    for name in list(linecache.cache):
        if not _CELL.search(name):
            continue
        try:
            statements += statements_of("".join(linecache.getlines(name)))
        except SyntaxError:
            continue
    if not statements:
        raise _refused(cls, "was typed at a prompt that keeps no source", _WRITE_FILE)
    return statements


def _from_namespace(names: set[str], namespace: Mapping[str, object]) -> list[str]:
    """Statements for names that no text binds, such as what `%pylab` or a startup file brought."""
    lines = []
    for name in sorted(names):
        if name not in namespace or hasattr(builtins, name) or name.startswith("__"):
            continue
        line = _binding(name, namespace[name])
        if line is not None:
            lines.append(line)
    return lines


def _binding(name: str, value: object) -> str | None:
    if isinstance(value, types.ModuleType):
        alias = "" if value.__name__ == name else f" as {name}"
        return f"import {value.__name__}{alias}"
    if type(value) in _LITERALS:
        return f"{name} = {value!r}"
    module, own = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if isinstance(module, str) and module != "__main__" and isinstance(own, str) and "." not in own:
        alias = "" if own == name else f" as {name}"
        return f"from {module} import {own}{alias}"
    return None


def _joined(statements: Sequence[Statement], added: Sequence[str]) -> str:
    """One text: `__future__` first, then the statements, spaced as PEP 8 asks for."""
    future = [s.text for s in statements if _is_future(s)]
    others = [s.text for s in statements if not _is_future(s)]
    text, previous = "", ""
    for block in [*dict.fromkeys(future), *added, *others]:
        if text:
            text += "\n" if _is_short(block) and _is_short(previous) else "\n\n\n"
        text += block
        previous = block
    return text + "\n"


def _is_future(statement: Statement) -> bool:
    node = statement.node
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_short(block: str) -> bool:
    return not block.startswith(("def ", "class ", "@", "async ", "#"))

"""The two forms of a training function, and what is wrong with one (CONTRACT section 1)."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Literal

from fedjob.errors import Fault

Function = ast.FunctionDef | ast.AsyncFunctionDef

FORM_A = "fl_train_model"
FORM_B = "fl_train"
VALIDATE = "fl_validate"

SIGNATURES: dict[str, str] = {
    "A": "(payload, out_dir, logger)",
    "B": "(model, env, out_dir, logger=None)",
}
_PASSED = ("payload", "out_dir", "logger")


def parameters_of(function: Function) -> tuple[str, ...]:
    """The names of all parameters, `*args` and `**kwargs` without their stars."""
    arguments = function.args
    stars = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return tuple(argument.arg for argument in [*plain, *stars])


def form_of(name: str, function: Function | None) -> Literal["A", "B"]:
    """A takes a payload, B a model; the documented names say it, else the parameters do."""
    if name == FORM_A:
        return "A"
    if name == FORM_B or function is None:
        return "B"
    names = parameters_of(function)
    return "B" if "payload" not in names and ("model" in names or "env" in names) else "A"


def signature_faults(function: Function, form: str, file: str) -> list[Fault]:
    """What keeps this function from being called with the form's arguments, by keyword."""
    where = f"{file} line {function.lineno}: {function.name}"
    wanted = f"write `def {function.name}{SIGNATURES[form]}:`"
    faults = []
    if isinstance(function, ast.AsyncFunctionDef):
        faults.append(Fault(where, "is `async def`, which returns before it has trained", wanted))
    if is_generator(function):
        faults.append(
            Fault(where, "has a `yield`, so that a call does not run it", "use `return` instead")
        )
    if function.decorator_list:
        return faults  # a decorator may change what it takes
    problem = _documented_problem(function) if form == "A" else _published_problem(function)
    if problem is not None:
        faults.append(Fault(where, problem, f"{wanted}; own settings come in training.extra"))
    return faults


def _documented_problem(function: Function) -> str | None:
    """Form A is called by keyword, with those of its three arguments that it takes."""
    arguments = function.args
    if arguments.posonlyargs:
        names = ", ".join(argument.arg for argument in arguments.posonlyargs)
        return f"takes {names} by position only, and it is called by keyword"
    by_keyword = {a.arg for a in [*arguments.args, *arguments.kwonlyargs]}
    if arguments.kwarg is None and "payload" not in by_keyword:
        return f"does not take payload; its parameters are ({', '.join(parameters_of(function))})"
    return _needs(name for name in _required(arguments) if name not in _PASSED)


def _published_problem(function: Function) -> str | None:
    """Form B gets model, env and out_dir by these names or else by position, logger by keyword."""
    arguments = function.args
    by_keyword = {a.arg for a in [*arguments.args, *arguments.kwonlyargs]}
    if {"model", "env", "out_dir"} <= by_keyword:
        passed = {"model", "env", "out_dir", "logger"}
        return _needs(name for name in _required(arguments) if name not in passed)
    positional = [a.arg for a in [*arguments.posonlyargs, *arguments.args]]
    if len(positional) < 3 and arguments.vararg is None:
        return f"takes {len(positional)} of the three arguments model, env and out_dir"
    required = len(positional) - len(arguments.defaults)
    beyond = [name for name in positional[3:required] if name != "logger"]
    return _needs([*beyond, *(n for n in _required_keywords(arguments) if n != "logger")])


def _needs(names: Iterable[str]) -> str | None:
    extra = list(names)
    return f"needs {', '.join(extra)}, which nobody passes" if extra else None


def _required_keywords(arguments: ast.arguments) -> list[str]:
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [argument.arg for argument, default in pairs if default is None]


def _required(arguments: ast.arguments) -> list[str]:
    plain = arguments.args[: len(arguments.args) - len(arguments.defaults)]
    return [*(argument.arg for argument in plain), *_required_keywords(arguments)]


def is_generator(function: Function) -> bool:
    """Whether calling it gives a generator instead of running it."""
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))
    return False

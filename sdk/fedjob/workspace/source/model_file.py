"""What a model_def.py holds and needs, found by reading it: it is never imported here.

Importing would run the user's code on the machine that submits, and would need torch there.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fedjob.errors import Fault, InvalidInputError
from fedjob.reasons import Reason
from fedjob.workspace.source.imports import (
    fix_for,
    imported_modules,
    missing_modules,
    relative_imports,
)
from fedjob.workspace.source.model_class import Constructor
from fedjob.workspace.source.model_target import find_target
from fedjob.workspace.source.names import UndefinedName, module_names, undefined_names
from fedjob.workspace.source.nearest import nearest
from fedjob.workspace.source.signatures import (
    FORM_A,
    FORM_B,
    VALIDATE,
    Function,
    form_of,
    parameters_of,
    signature_faults,
)
from fedjob.workspace.source.statements import top_level

MAX_SOURCE_BYTES = 1 << 20
"""A ConfigMap, which may carry the file, holds no more than 1 MiB."""

_UNSAVED = ("complex128", "cdouble", "complex32", "chalf")
"""Complex dtypes of torch that safetensors does not know."""


class InvalidSourceError(InvalidInputError):
    """The model file cannot be used as it is written.

    Attributes:
        info: What could be read of it nevertheless; None where it is not Python.
    """

    def __init__(self, faults: Iterable[Fault], info: SourceInfo | None = None) -> None:
        super().__init__(faults)
        self.info = info

    reason = Reason.SOURCE_INVALID


@dataclass(frozen=True)
class SourceInfo:
    """What a model file holds.

    Attributes:
        form: A is `fl_train_model(payload)`, B is `fl_train(model, env, ...)`, C has none of them.
        train_function: The training function's name; None for form C.
        parameters: Names of its parameters; empty where it is imported rather than written.
        has_validate: There is an `fl_validate`.
        class_name: The model class.
        classes: All classes at the file's top level, in order.
        constructor: What the model class is built with.
        modules: Top-level modules that the file imports, sorted.
        missing_modules: Those that neither a worker has nor `model.requirements` brings: a warning.
        hints: What looks like a slip but need not be one: warnings.
        batch_norm: The file uses one of torch's BatchNorm layers.
    """

    form: Literal["A", "B", "C"]
    train_function: str | None
    parameters: tuple[str, ...]
    has_validate: bool
    class_name: str | None
    classes: tuple[str, ...]
    constructor: Constructor
    modules: tuple[str, ...]
    missing_modules: tuple[str, ...]
    hints: tuple[str, ...] = ()
    batch_norm: bool = False

    @property
    def constructor_parameters(self) -> tuple[str, ...]:
        """Names that the model class's constructor takes by keyword."""
        return self.constructor.parameters

    @property
    def accepts_num_classes(self) -> bool:
        """Whether the constructor is seen to take `num_classes`, by name or by `**kwargs`.

        False also where the constructor is not in this file; the runtime asks the class itself.
        """
        taken = self.constructor
        passed_on = taken.visible and taken.any_keyword and not taken.function
        return "num_classes" in taken.parameters or passed_on


def check_source(
    text: str,
    class_name: str | None,
    train_function: str | None = None,
    filename: str = "model_def.py",
    requirements: Collection[str] = (),
    *,
    shipped: Collection[str] = (),
) -> SourceInfo:
    """Reads a model file and checks all that can be known without running it (rows 24 and 26).

    Args:
        text: The file.
        class_name: `model.className`; None: the job has no model, only a training function.
        train_function: `model.trainFunction`; None finds it by the documented names.
        filename: What messages call the file.
        requirements: `model.requirements`, as pip takes them.
        shipped: Top-level modules and packages that are shipped beside it.

    Raises:
        InvalidSourceError: Syntax, the class, undefined names, the signatures: every fault found.
    """
    try:
        return _checked(
            text,
            class_name,
            train_function,
            filename=filename,
            requirements=requirements,
            shipped=shipped,
        )
    except RecursionError:
        problem = "has an expression that is nested too deeply to be read"
        fault = Fault(filename, problem, "split the longest expression into several lines")
        raise InvalidSourceError([fault]) from None


def _checked(
    text: str,
    class_name: str | None,
    train_function: str | None,
    *,
    filename: str,
    requirements: Collection[str],
    shipped: Collection[str],
) -> SourceInfo:
    tree = parse_source(text, filename)
    statements = list(top_level(tree))
    functions = {f.name: f for f in statements if isinstance(f, Function)}
    classes = {c.name: c for c in statements if isinstance(c, ast.ClassDef)}
    names = module_names(tree)
    faults = [_relative_fault(line, filename) for line in relative_imports(tree)]
    faults += undefined_faults(tree, filename)

    constructor = Constructor(visible=False)
    if class_name is not None and (class_name.split(".")[0] in names.bound or not names.star):
        target = find_target(class_name, tree, names.bound, filename)
        constructor = target.constructor
        faults += target.faults

    name = train_function or next((n for n in (FORM_A, FORM_B) if n in names.bound), None)
    form: Literal["A", "B", "C"] = "C"
    if name is not None:
        form = form_of(name, functions.get(name))
        if name in functions:
            faults += signature_faults(functions[name], form, filename)
        elif name not in names.bound and not names.star:
            faults.append(_no_function(name, tuple(functions), filename))
    if VALIDATE in functions:
        faults += signature_faults(functions[VALIDATE], "B", filename)
    if class_name is None and form != "A":
        faults.append(_no_model(form, name, tuple(classes)))
    info = SourceInfo(
        form=form,
        train_function=name,
        parameters=parameters_of(functions[name]) if name in functions else (),
        has_validate=VALIDATE in names.bound,
        class_name=class_name,
        classes=tuple(classes),
        constructor=constructor,
        modules=imported_modules(tree),
        missing_modules=missing_modules(tree, requirements, shipped),
        hints=(
            *(_hints(functions) if form == "C" else ()),
            *_import_hints(tree),
            *_dtype_hints(tree),
        ),
        batch_norm=_uses_batch_norm(tree),
    )
    if faults:
        raise InvalidSourceError(faults, info)
    return info


def parse_source(text: str, filename: str) -> ast.Module:
    """The file's syntax tree, after every check that Python's compiler makes.

    Raises:
        InvalidSourceError: With the line at which the compiler stopped.
    """
    if not text.strip():
        raise InvalidSourceError([Fault(filename, "is empty", "write the model class into it")])
    if len(text.encode("utf-8", "replace")) > MAX_SOURCE_BYTES:
        size = Fault(filename, "is larger than 1 MiB", "keep weights and data out of it")
        raise InvalidSourceError([size])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape is the user's own business
            tree = ast.parse(text, filename)
            # Some errors, such as `return` at the top level, only the compiler finds.
            compile(text, filename, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise InvalidSourceError([_syntax_fault(error, text, filename)]) from None
    except (ValueError, MemoryError) as error:
        fault = Fault(
            filename, f"cannot be read as Python: {error}", "check that it is plain source"
        )
        raise InvalidSourceError([fault]) from None
    return tree


def _syntax_fault(error: SyntaxError, text: str, filename: str) -> Fault:
    line = error.lineno or 1
    lines = text.splitlines()
    written = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    where = f"{filename} line {line}"
    if written.startswith(("%", "!")):
        return Fault(
            where, f"`{written[:80]}` is a notebook command, not Python", "remove the line"
        )
    shown = f" at `{written[:80]}`" if written else ""
    return Fault(where, f"{error.msg}{shown}", "correct the syntax")


def undefined_faults(tree: ast.Module, filename: str) -> list[Fault]:
    """Names that nothing in the file defines (row 26)."""
    return [_undefined_fault(name, filename) for name in undefined_names(tree)]


def _undefined_fault(name: UndefinedName, filename: str) -> Fault:
    first, *others = name.lines
    also = f" (and {len(others)} more)" if others else ""
    where = f"{filename} line {first}{also}"
    problem = f"name '{name.name}' is not defined"
    if name.defined_at is not None:
        late = f"{problem} yet: it comes on line {name.defined_at}"
        return Fault(where, late, f"move its definition above line {first}")
    return Fault(where, problem, fix_for(name.name))


def _relative_fault(line: int, filename: str) -> Fault:
    return Fault(
        f"{filename} line {line}",
        "imports from a package around the file, and on the workers the file is in none",
        "write `from parts import Head` without the dot, and ship parts.py beside the file "
        "(--model-file DIR, or spec.model.files)",
    )


def _no_model(form: str, function: str | None, classes: Sequence[str]) -> Fault:
    what = "the generated training loop" if form == "C" else f"`{function}`"
    fix = f"write the model's name, such as `{classes[-1] if classes else 'Net'}`"
    return Fault(
        "spec.model.className",
        f"is missing, and {what} trains the model that it names",
        f"{fix}; only fl_train_model(payload) can do without a model",
    )


def _no_function(name: str, functions: Sequence[str], filename: str) -> Fault:
    has = f"it has {', '.join(functions[:8])}" if functions else "it has none"
    near = nearest(name, functions)
    fix = f"did you mean {near}? " if near else ""
    return Fault(
        "spec.model.trainFunction",
        f"{filename} has no function {name}; {has}",
        f"{fix}name a function of the file, or leave the field out",
    )


def _uses_batch_norm(tree: ast.Module) -> bool:
    names = (
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
    )
    return any(name.startswith(("BatchNorm", "SyncBatchNorm", "LazyBatchNorm")) for name in names)


def _hints(functions: Mapping[str, Function]) -> tuple[str, ...]:
    known = (FORM_A, FORM_B)
    return tuple(
        f"line {function.lineno}: {name} looks like {near}, but is not called; the generated "
        f"training loop runs (rename it, or set model.trainFunction)"
        for name, function in functions.items()
        if (near := nearest(name, known, cutoff=0.75))
    )


def _import_hints(tree: ast.Module) -> Iterator[str]:
    """Command lines that are read on import: on a worker they are the worker's."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop(0)
        if isinstance(node, Function | ast.Lambda) or _is_main_guard(node):
            continue
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("parse_args", "parse_known_args")
            and not node.args
            and not node.keywords
        ):
            yield (
                f"line {node.lineno}: {node.func.attr}() reads the command line when the file is "
                "imported, and on a worker it is the worker's; move it under `if __name__ == "
                f'"__main__":`, or write {node.func.attr}([])'
            )
        pending = [*ast.iter_child_nodes(node), *pending]


def _dtype_hints(tree: ast.Module) -> Iterator[str]:
    """Dtypes that safetensors cannot hold: only in parameters and buffers do they matter."""
    lines = {
        (node.attr, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "torch"
        and node.attr in _UNSAVED
    }
    for name, line in sorted(lines, key=lambda found: found[1]):
        yield (
            f"line {line}: a parameter or buffer of torch.{name} cannot be saved and averaged, and "
            "the run would end before round 1; use torch.complex64 for it"
        )


def _is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)

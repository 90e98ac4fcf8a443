"""What `model.className` names in a file: a class, function, partial or model, by text alone.

Where the text cannot tell, nothing is refused: the runtime asks the object itself.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fedjob.errors import Fault
from fedjob.workspace.source.model_class import (
    Constructor,
    class_fault,
    constructor_of,
    function_constructor,
)
from fedjob.workspace.source.nearest import nearest
from fedjob.workspace.source.signatures import Function, is_generator
from fedjob.workspace.source.statements import top_level

UNKNOWN = Constructor(visible=False, any_keyword=True)
FIELD = "spec.model.className"
_MAX_ALIASES = 16
_KINDS: tuple[tuple[type[ast.expr] | tuple[type[ast.expr], ...], str], ...] = (
    (ast.JoinedStr, "a text"),
    ((ast.List, ast.ListComp), "a list"),
    ((ast.Dict, ast.DictComp), "a dict"),
    ((ast.Set, ast.SetComp), "a set"),
    (ast.Tuple, "a tuple"),
    (ast.GeneratorExp, "a generator"),
)


@dataclass(frozen=True, slots=True)
class ModelTarget:
    """What the name stands for.

    Attributes:
        constructor: What it is called with.
        faults: Why no model comes of it.
    """

    constructor: Constructor
    faults: tuple[Fault, ...] = ()


def find_target(
    class_name: str, tree: ast.Module, bound: Mapping[str, int], filename: str
) -> ModelTarget:
    """Follows a name to the class or function behind it.

    Args:
        class_name: `model.className`, such as `Net` or `Outer.Inner`.
        tree: The file.
        bound: The names that the module binds.
        filename: What messages call the file.
    """
    search = _Search(class_name, tree, filename)
    name, *nested = class_name.split(".")
    if name not in bound:
        return ModelTarget(Constructor(visible=False), (search.missing(name),))
    return search.follow(name, nested, aliases=0)


class _Search:
    def __init__(self, class_name: str, tree: ast.Module, filename: str) -> None:
        statements = list(top_level(tree))
        self._class_name = class_name
        self._filename = filename
        self._classes = {n.name: n for n in statements if isinstance(n, ast.ClassDef)}
        self._values = dict(_values(statements))
        # Of what several branches bind, the text does not tell which one counts.
        always = dict(_values(tree.body))
        counts = Counter(name for name, _ in _values(statements))
        for name, value in self._values.items():
            if counts[name] > 1 and always.get(name) is not value:
                self._values[name] = None

    def follow(self, name: str, nested: Sequence[str], aliases: int) -> ModelTarget:
        value = self._values.get(name)
        if value is None or aliases > _MAX_ALIASES:
            return ModelTarget(UNKNOWN)  # imported, or bound by something that is not read here
        if isinstance(value, ast.ClassDef):
            return self._nested(value, nested) if nested else self._class(value, self._classes)
        if nested:
            return ModelTarget(UNKNOWN)
        if isinstance(value, Function):
            return self._function(value)
        if isinstance(value, ast.Name):
            return self.follow(value.id, (), aliases + 1)
        if isinstance(value, ast.Lambda):
            return ModelTarget(function_constructor(value, self._classes))
        if isinstance(value, ast.Call):
            return self._call(value, aliases)
        kind = _kind_of(value)
        if kind is None:
            return ModelTarget(UNKNOWN)
        fix = "name a class, a function that returns the model, or a model"
        where = f"{self._filename} line {value.lineno}: {name}"
        return ModelTarget(UNKNOWN, (Fault(where, f"is {kind}, not a model", fix),))

    def _class(self, node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> ModelTarget:
        fault = class_fault(node, classes, self._filename)
        return ModelTarget(constructor_of(node, classes), (fault,) if fault else ())

    def _nested(self, outer: ast.ClassDef, names: Sequence[str]) -> ModelTarget:
        name, *others = names
        inner = {n.name: n for n in outer.body if isinstance(n, ast.ClassDef)}
        if name in inner:
            if others:
                return self._nested(inner[name], others)
            return self._class(inner[name], {**self._classes, **inner})
        methods = {n.name: n for n in outer.body if isinstance(n, Function)}
        if name in methods and not others:
            return self._method(outer, methods[name])
        if outer.bases or outer.decorator_list or name in dict(_values(outer.body)):
            return ModelTarget(UNKNOWN)  # it may be inherited
        has = f"it has {', '.join(list(inner)[:8])}" if inner else "it has none"
        near = nearest(name, list(inner))
        fix = f"did you mean {near}? name its model class" if near else "name its model class"
        problem = f"{self._filename}: {outer.name} has no class {name}; {has}"
        return ModelTarget(UNKNOWN, (Fault(FIELD, problem, fix),))

    def _method(self, outer: ast.ClassDef, method: Function) -> ModelTarget:
        decorators = {ast.unparse(item) for item in method.decorator_list}
        if decorators:
            return ModelTarget(UNKNOWN)  # such as @classmethod
        where = f"{self._filename} line {method.lineno}: {outer.name}.{method.name}"
        fix = f"name the class {outer.name}, or make it a @staticmethod that returns the model"
        problem = "is a method, which nobody can call without an object"
        return ModelTarget(UNKNOWN, (Fault(where, problem, fix),))

    def _function(self, node: Function) -> ModelTarget:
        where = f"{self._filename} line {node.lineno}: {node.name}"
        fix = f"write `def {node.name}(...):` and return the model from it"
        if node.decorator_list:
            return ModelTarget(UNKNOWN)  # a decorator may change what it takes and returns
        if isinstance(node, ast.AsyncFunctionDef):
            problem = "is `async def`, which returns no model"
        elif is_generator(node):
            problem = "has a `yield`, so that a call returns no model"
        elif not any(_returns(node)):
            problem = "is a function that returns nothing"
        else:
            return ModelTarget(function_constructor(node, self._classes))
        return ModelTarget(UNKNOWN, (Fault(where, problem, fix),))

    def _call(self, call: ast.Call, aliases: int) -> ModelTarget:
        name = ast.unparse(call.func)
        if name in ("partial", "functools.partial") and call.args:
            return self._partial(call, aliases)
        if isinstance(call.func, ast.Name) and call.func.id in self._classes:
            node = self._classes[call.func.id]
            fault = class_fault(node, self._classes, self._filename)
            if fault is None and not node.keywords and not node.decorator_list:
                return ModelTarget(Constructor(visible=True, made=True))
        return ModelTarget(UNKNOWN)

    def _partial(self, call: ast.Call, aliases: int) -> ModelTarget:
        first = call.args[0]
        given = {keyword.arg for keyword in call.keywords}
        if not isinstance(first, ast.Name) or len(call.args) > 1 or None in given:
            return ModelTarget(UNKNOWN)
        inner = self.follow(first.id, (), aliases + 1)
        taken = inner.constructor
        required = tuple(name for name in taken.required if name not in given)
        return replace(inner, constructor=replace(taken, required=required))

    def missing(self, name: str) -> Fault:
        classes = tuple(self._classes)
        has = f"it has {', '.join(classes[:8])}" if classes else "it has no class at all"
        names = (*classes, *(n for n in self._values if n not in self._classes))
        near = nearest(name, names)
        fix = f"did you mean {near}? " if near else ""
        return Fault(
            FIELD,
            f"{self._filename} has no class {self._class_name}; {has}",
            f"{fix}name its model class",
        )


def _values(
    statements: Sequence[ast.stmt],
) -> Iterator[tuple[str, ast.ClassDef | Function | ast.expr | None]]:
    """(name, what binds it), the last of several last; None where the text does not tell."""
    for node in statements:
        if isinstance(node, ast.ClassDef | Function):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
                else:
                    names = (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
                    yield from ((name, None) for name in names)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if node.value is not None:
                yield node.target.id, node.value
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], None


def _kind_of(value: ast.expr) -> str | None:
    if isinstance(value, ast.Constant):
        kinds = {str: "a text", bytes: "bytes", bool: "a boolean", type(None): "None"}
        return kinds.get(type(value.value), "a number")
    return next((kind for types, kind in _KINDS if isinstance(value, types)), None)


def _returns(function: Function) -> Iterator[bool]:
    """True for every `return` with a value of the function's own body."""
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Return) and node.value is not None:
            yield True
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))

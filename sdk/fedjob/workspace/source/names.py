"""Which names of a module are looked up at its top level, by Python's scope rules.

Only the text is read. The rules are those of the language reference, "Naming and binding": class
bodies are not seen from their functions, comprehensions have their own scope but for their first
iterable, annotations are not evaluated in function bodies nor under `from __future__ import
annotations`.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from fedjob.workspace.source.bindings import Bindings, bindings_of, type_parameters

_MODULE_NAMES = frozenset(
    {
        *("__file__", "__name__", "__doc__", "__package__", "__spec__", "__loader__"),
        *("__builtins__", "__annotations__", "__cached__", "__dict__"),
    }
)
_CLASS_NAMES = frozenset({"__module__", "__qualname__"})

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True, slots=True)
class GlobalUse:
    """A name that is looked up in the module, then among the builtins.

    Attributes:
        name: The name.
        line: Where, from 1.
        position: (line, column) of the use.
        immediate: It is looked up while the module is imported, not in a function called later.
        guarded: A missing name is caught by an `except NameError` around it.
    """

    name: str
    line: int
    position: tuple[int, int]
    immediate: bool
    guarded: bool


@dataclass(frozen=True, slots=True)
class UndefinedName:
    """A name that nothing defines, or that is used before its definition.

    Attributes:
        name: The name.
        lines: Every line that uses it, ascending.
        defined_at: The line that defines it too late; None where none does.
    """

    name: str
    lines: tuple[int, ...]
    defined_at: int | None = None


@dataclass(slots=True)
class _Scope:
    kind: str
    bound: frozenset[str]
    globals: frozenset[str] = field(default_factory=frozenset)


def undefined_names(tree: ast.Module) -> list[UndefinedName]:
    """Names that raise NameError when the module is imported or its functions are called.

    Nothing is reported where it cannot be known: with a star import, or where the module writes its
    own globals by `exec` or `globals()`.
    """
    module = bindings_of(tree.body, is_function=False)
    if module.star or _writes_its_globals(tree):
        return []
    declared = {n for node in ast.walk(tree) if isinstance(node, ast.Global) for n in node.names}
    known = module.bound.keys() | declared | _MODULE_NAMES | set(dir(builtins))
    lines: dict[str, list[int]] = {}
    late: dict[str, int] = {}
    for use in global_uses(tree):
        if use.guarded:
            continue
        if use.name not in known:
            lines.setdefault(use.name, []).append(use.line)
        elif _is_late(use, module) and use.name not in declared:
            lines.setdefault(use.name, []).append(use.line)
            late.setdefault(use.name, module.bound[use.name][0])
    return [
        UndefinedName(name, tuple(sorted(set(found))), late.get(name))
        for name, found in sorted(lines.items(), key=lambda item: min(item[1]))
    ]


def global_uses(tree: ast.Module, *, annotations: bool = False) -> list[GlobalUse]:
    """Every lookup that reaches the module's scope, in the order of the text.

    Args:
        tree: The module.
        annotations: Count annotations too, even those that are never evaluated.
    """
    walker = _Walker(tree, annotations)
    for statement in tree.body:
        walker.visit(statement)
    return sorted(walker.uses, key=lambda use: use.position)


def _is_late(use: GlobalUse, module: Bindings) -> bool:
    if not use.immediate or use.name in dir(builtins) or use.name in _MODULE_NAMES:
        return False
    return use.name in module.bound and module.bound[use.name] > use.position


def _writes_its_globals(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"exec", "globals"}
        for node in ast.walk(tree)
    )


def _has_future_annotations(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in tree.body
    )


def _catches_name_error(handlers: Sequence[ast.ExceptHandler], *, immediate: bool) -> bool:
    # `except Exception: log(...); raise` around a training loop hides nothing; around a module's
    # own imports it is the usual way to say "if it is there".
    wanted = {"NameError", *(("Exception", "BaseException") if immediate else ())}
    for handler in handlers:
        if handler.type is None and immediate:
            return True
        if handler.type is not None:
            named = {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)}
            if named & wanted:
                return True
    return False


class _Walker(ast.NodeVisitor):
    """Visits every expression with its scopes at hand, innermost last."""

    def __init__(self, tree: ast.Module, annotations: bool) -> None:
        self.uses: list[GlobalUse] = []
        self._scopes: list[_Scope] = []
        self._functions = 0
        self._guards = 0
        self._all_annotations = annotations
        self._evaluated = annotations or not _has_future_annotations(tree)

    @contextmanager
    def _scope(
        self, kind: str, bound: frozenset[str], found: Bindings | None = None
    ) -> Iterator[None]:
        self._scopes.append(_Scope(kind, bound, frozenset(found.globals if found else ())))
        self._functions += kind == "function"
        try:
            yield
        finally:
            self._functions -= kind == "function"
            self._scopes.pop()

    def _is_local(self, name: str) -> bool:
        directly = True  # in the class body itself, or in its functions' defaults and annotations
        for scope in reversed(self._scopes):
            visible = directly or scope.kind != "class"
            directly = directly and scope.kind == "types"
            if not visible:
                continue
            if name in scope.globals:
                return False
            if name in scope.bound:
                # A class body falls back to the globals for a name it binds only later.
                return True
        return False

    def visit_Name(self, node: ast.Name) -> None:
        """Record a lookup that no enclosing scope answers."""
        if isinstance(node.ctx, ast.Load) and not self._is_local(node.id):
            where = (node.lineno, node.col_offset)
            self.uses.append(
                GlobalUse(node.id, node.lineno, where, self._functions == 0, self._guards > 0)
            )

    def _visit_all(self, nodes: Sequence[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def _visit_arguments(self, arguments: ast.arguments) -> None:
        self._visit_all([*arguments.defaults, *arguments.kw_defaults])
        if self._evaluated:
            self._visit_all([argument.annotation for argument in _all_arguments(arguments)])

    def _visit_function(self, node: _Function, body: Sequence[ast.AST]) -> None:
        found = bindings_of(body, is_function=True)
        parameters = {argument.arg for argument in _all_arguments(node.args)}
        # `__class__` is there for every function inside a class body.
        in_class = any(scope.kind == "class" for scope in self._scopes)
        names = (found.bound.keys() | parameters) - found.globals - found.nonlocals
        with self._scope(
            "function", frozenset(names | ({"__class__"} if in_class else set())), found
        ):
            self._visit_all(body)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Decorators and defaults belong outside, the body inside."""
        self._visit_all(node.decorator_list)
        with self._scope("types", type_parameters(node)):
            self._visit_arguments(node.args)
            if self._evaluated:
                self._visit_all([node.returns])
            self._visit_function(node, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 (ast.NodeVisitor's own name)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Like a function."""
        self._visit_arguments(node.args)
        self._visit_function(node, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Bases belong outside, the body inside."""
        self._visit_all(node.decorator_list)
        with self._scope("types", type_parameters(node)):
            self._visit_all([*node.bases, *node.keywords])
            found = bindings_of(node.body, is_function=False)
            names = (found.bound.keys() | _CLASS_NAMES) - found.globals - found.nonlocals
            with self._scope("class", frozenset(names), found):
                self._visit_all(node.body)

    def _visit_comprehension(self, node: _Comprehension) -> None:
        first, *others = node.generators
        self.visit(first.iter)
        targets = {
            name.id
            for generator in node.generators
            for name in ast.walk(generator.target)
            if isinstance(name, ast.Name)
        }
        with self._scope("comprehension", frozenset(targets)):
            self._visit_all([first.target, *first.ifs, *others])
            results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            self._visit_all(results)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension  # noqa: N815

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """An annotation is evaluated in modules and classes only."""
        in_function = bool(self._scopes) and self._scopes[-1].kind == "function"
        if self._all_annotations or (self._evaluated and not in_function):
            self.visit(node.annotation)
        self._visit_all([node.target, node.value])

    def visit_Try(self, node: ast.Try) -> None:
        """Lookups in the body of a try that expects NameError are guarded."""
        guard = _catches_name_error(node.handlers, immediate=self._functions == 0)
        self._guards += guard
        self._visit_all(node.body)
        self._guards -= guard
        self._visit_all([*node.handlers, *node.orelse, *node.finalbody])


def _all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    extra = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]

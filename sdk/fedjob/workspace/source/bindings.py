"""Which names one scope binds, by the language reference's list of binding constructs."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bindings:
    """What one scope binds.

    Attributes:
        bound: Name to the (line, column) where it is first bound.
        globals: Names declared `global` here.
        nonlocals: Names declared `nonlocal` here.
        star: There is a star import: what is bound cannot be known.
    """

    bound: dict[str, tuple[int, int]] = field(default_factory=dict)
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)
    star: bool = False


def bindings_of(body: Sequence[ast.AST], *, is_function: bool) -> Bindings:
    """What these statements bind in their own scope, nested scopes left out.

    Args:
        body: The statements (or a lambda's expression).
        is_function: `x: int` without a value makes x local to a function, but binds nothing in a
            module or class.
    """
    collector = _Collector(is_function)
    for node in body:
        collector.visit(node)
    return collector.found


def type_parameters(node: ast.AST) -> frozenset[str]:
    """The names in `def f[T]`, `class A[T]`, `type X[T]` (Python 3.12)."""
    return frozenset(parameter.name for parameter in getattr(node, "type_params", ()))


class _Collector(ast.NodeVisitor):
    def __init__(self, is_function: bool) -> None:
        self.found = Bindings()
        self._is_function = is_function

    def _bind(self, name: str | None, node: ast.AST) -> None:
        if name is None:
            return
        where = (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))
        self.found.bound[name] = min(where, self.found.bound.get(name, where))

    def _visit_all(self, nodes: Sequence[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        """Assigned, deleted, or a loop's target."""
        if not isinstance(node.ctx, ast.Load):
            self._bind(node.id, node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """A bare annotation binds nothing outside functions."""
        if node.value is not None or self._is_function:
            self._visit_all([node.target, node.value])

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Binds its name; its decorators and defaults may hold a walrus."""
        self._bind(node.name, node)
        self._visit_all([*node.decorator_list, *node.args.defaults, *node.args.kw_defaults])

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 (ast.NodeVisitor's own name)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Binds its name."""
        self._bind(node.name, node)
        self._visit_all([*node.decorator_list, *node.bases, *node.keywords])

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Only its defaults are in this scope."""
        self._visit_all([*node.args.defaults, *node.args.kw_defaults])

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """Its targets stay inside, but a walrus in it binds here."""
        self._visit_all([node.iter, *node.ifs])

    def visit_Import(self, node: ast.Import) -> None:
        """`import a.b` binds a; `import a.b as c` binds c."""
        for alias in node.names:
            self._bind(alias.asname or alias.name.partition(".")[0], node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """`from a import b`; a star binds what cannot be known."""
        for alias in node.names:
            if alias.name == "*":
                self.found.star = True
            else:
                self._bind(alias.asname or alias.name, node)

    def visit_Global(self, node: ast.Global) -> None:
        """Not this scope's, even where assigned."""
        self.found.globals.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        """An enclosing function's."""
        self.found.nonlocals.update(node.names)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """`except E as name`."""
        self._bind(node.name, node)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        """`case pattern as name`, `case name`."""
        self._bind(node.name, node)
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        """`case [*name]`."""
        self._bind(node.name, node)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        """`case {**name}`."""
        self._bind(node.rest, node)
        self.generic_visit(node)

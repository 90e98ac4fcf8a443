"""Which names a module binds and looks up, by pyflakes' model of Python's scopes.

pyflakes resolves scopes; this module asks it about names alone and corrects it where it guesses for
readers of code rather than for the interpreter (docs/contributing/decisions/018):

- annotations count where Python evaluates them: not in function bodies, not under `from __future__
  import annotations`, and strings never;
- a comprehension in a class body sees the class's names in its first iterable only;
- `except NameError` guards the whole body of its `try`; at the top level, so does `except
  Exception`;
- nothing is reported where it cannot be known: with a star import, or where the module writes its
  own globals by `exec` or `globals()`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyflakes import checker, messages

_MODULE_NAMES = frozenset({"__cached__", "__dict__", "__doc__", "__loader__", "__spec__"})
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


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


@dataclass(frozen=True, slots=True)
class ModuleNames:
    """The names of a module's own scope.

    Attributes:
        bound: Name to the first line that binds it.
        used: Names that are looked up in the module, then among the builtins.
        star: There is a star import: what is bound cannot be known.
    """

    bound: Mapping[str, int]
    used: frozenset[str]
    star: bool


def undefined_names(tree: ast.Module) -> list[UndefinedName]:
    """Names that raise NameError when the module is imported or its functions are called.

    Nothing is reported where it cannot be known; see the module's docstring.
    """
    names = _Names(tree)
    if names.star or _writes_its_globals(tree):
        return []
    lines: dict[str, set[int]] = {}
    for message in names.messages:
        lines.setdefault(message.message_args[0], set()).add(message.lineno)
    found = [
        UndefinedName(name, tuple(sorted(at)), names.first_lines.get(name))
        for name, at in lines.items()
    ]
    return sorted(found, key=lambda item: (item.lines[0], item.name))


def module_names(tree: ast.Module, *, annotations: bool = False) -> ModuleNames:
    """The names that a module, or some of its statements, binds and looks up.

    Args:
        tree: The module.
        annotations: Count annotations too, even those that are never evaluated.
    """
    names = _Names(tree, annotations=annotations)
    undefined = {message.message_args[0] for message in names.messages}
    used = {name for name, binding in names.module.items() if binding.used}
    return ModuleNames(names.first_lines, frozenset(undefined | used), names.star)


def _writes_its_globals(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"exec", "globals"}
        for node in ast.walk(tree)
    )


def _catches_name_error(handlers: Sequence[ast.ExceptHandler], *, immediate: bool) -> bool:
    # `except Exception: log(...); raise` around a training loop hides nothing; around a module's
    # own imports it is the usual way to write "if it is there".
    wanted = {"NameError", *(("Exception", "BaseException") if immediate else ())}
    for handler in handlers:
        if handler.type is None and immediate:
            return True
        if handler.type is not None:
            named = {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)}
            if named & wanted:
                return True
    return False


class _Names(checker.Checker):  # type: ignore[misc]
    """pyflakes' checker, reduced to names; `messages` holds undefined ones only."""

    scopeStack: list[Any]  # noqa: N815 (pyflakes' own name)

    def __init__(self, tree: ast.Module, *, annotations: bool = False) -> None:
        self._every_annotation = annotations
        self.first_lines: dict[str, int] = {}
        self.module: Any = None
        super().__init__(tree, builtins=_MODULE_NAMES, withDoctest=False)

    @property
    def star(self) -> bool:
        """Whether there is a star import at the module's top level."""
        return bool(self.module.importStarred)

    def report(self, message: type[messages.Message], *args: Any) -> None:
        """Keep undefined names only."""
        if message is messages.UndefinedName:
            super().report(message, *args)

    def checkDeadScopes(self) -> None:  # noqa: N802 (pyflakes' own name)
        """Unused imports and variables are of no interest; the module's scope is."""
        self.module = next(s for s in self.deadScopes if isinstance(s, checker.ModuleScope))

    def addBinding(self, node: ast.AST | None, value: Any) -> None:  # noqa: N802
        """Note where the module binds a name first."""
        super().addBinding(node, value)
        # A walrus in a comprehension binds in the scope around it.
        if self.scopeStack[0].get(value.name) is value and isinstance(node, ast.AST):
            line = getattr(node, "lineno", 0)
            self.first_lines[value.name] = min(line, self.first_lines.get(value.name, line))

    def handleNodeDelete(self, node: ast.AST) -> None:  # noqa: N802
        """What is deleted on one path may be there on another."""

    def handleAnnotation(self, annotation: ast.expr | None, node: ast.AST) -> None:  # noqa: N802
        """Annotations count where they are evaluated."""
        local = isinstance(node, ast.AnnAssign) and isinstance(self.scope, checker.FunctionScope)
        if self._every_annotation or not (local or self.annotationsFutureEnabled):
            self.handleNode(annotation, node)

    def handleStringAnnotation(self, *args: Any) -> None:  # noqa: N802
        """A string is not evaluated."""

    def TRY(self, node: ast.Try) -> None:  # noqa: N802
        """Lookups in the body of a try that expects NameError are guarded."""
        immediate = not any(isinstance(s, checker.FunctionScope) for s in self.scopeStack)
        guarded = "NameError" in self.exceptHandlers[-1] or _catches_name_error(
            node.handlers, immediate=immediate
        )
        self.exceptHandlers.append(["NameError"] if guarded else [])
        for child in node.body:
            self.handleNode(child, node)
        self.exceptHandlers.pop()
        self.handleChildren(node, omit="body")

    TRYSTAR = TRY

    def GENERATOREXP(self, node: _Comprehension) -> None:  # noqa: N802
        """The first iterable is evaluated outside; inside, a class's names are not visible."""
        first = node.generators[0]
        self.handleNode(first.iter, first)
        stack = self.scopeStack
        self.scopeStack = [s for s in stack if not isinstance(s, checker.ClassScope)]
        with self.in_scope(checker.GeneratorScope):
            for generator in node.generators:
                if generator is not first:
                    self.handleNode(generator.iter, generator)
                for child in (generator.target, *generator.ifs):
                    self.handleNode(child, generator)
            results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            for child in results:
                self.handleNode(child, node)
        self.scopeStack = stack

    LISTCOMP = SETCOMP = DICTCOMP = GENERATOREXP

"""Of many top-level statements, those that a class or function needs (row 25)."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from fedjob.workspace.source.names import module_names


@dataclass(frozen=True)
class Statement:
    """One top-level statement and the text it was written as.

    Attributes:
        node: The statement.
        text: Its lines, with the comment right above it.
        binds: Names it binds in the module.
        uses: Names it looks up in the module, annotations included.
        changes: Names whose object it changes: `LABELS["a"] = 1`, `LABELS.append("a")`.
        adds: It builds on an earlier value of what it binds: `LABELS += [...]`.
    """

    node: ast.stmt
    text: str
    binds: frozenset[str]
    uses: frozenset[str]
    changes: frozenset[str]
    adds: bool


def statements_of(text: str) -> list[Statement]:
    """The top-level statements of a file that are not `if __name__ == "__main__"`.

    Raises:
        SyntaxError: The text is not Python.
    """
    tree = ast.parse(text)
    lines = text.splitlines(keepends=True)
    first_lines = [_first_line(node) for node in tree.body]
    shared = {
        line
        for line, following in zip(
            (node.end_lineno for node in tree.body), first_lines[1:], strict=False
        )
        if line == following
    }
    found = []
    for node in tree.body:
        if _is_main_guard(node):
            continue
        first, last = _first_line(node), node.end_lineno or node.lineno
        if shared & {first, last}:
            written = ast.get_source_segment(text, node) or ast.unparse(node)
        else:
            while first > 1 and lines[first - 2].startswith("#"):
                first -= 1
            written = "".join(lines[first - 1 : last]).rstrip("\n")
        found.append(_statement(node, written))
    return found


def needed_statements(
    statements: Sequence[Statement], wanted: Iterable[str], *, last_only: bool
) -> tuple[list[Statement], set[str]]:
    """What the wanted names need, in the given order.

    Args:
        statements: All of them, in the order in which they ran.
        wanted: Names to begin with.
        last_only: Of several statements that bind a name only the last counts: a notebook's cells
            run again and again. Otherwise all do, as in a file with `try: import ...`.

    Returns:
        The statements, and the names that none of them binds.
    """
    taken: set[int] = set()
    missing: set[str] = set()
    seen: set[str] = set()
    pending = sorted(wanted)
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        chosen = _binders(statements, name, last_only)
        if not chosen:
            missing.add(name)
        for index in chosen:
            if index not in taken:
                taken.add(index)
                pending += statements[index].uses
    stars = [i for i, s in enumerate(statements) if _is_star_or_future(s.node)]
    return [statements[index] for index in sorted({*taken, *stars})], missing


def _binders(statements: Sequence[Statement], name: str, last_only: bool) -> list[int]:
    binders = [index for index, s in enumerate(statements) if name in s.binds]
    if last_only and binders:
        start = max((i for i in binders if not statements[i].adds), default=binders[0])
        binders = [index for index in binders if index >= start]
    if not binders or any(
        isinstance(statements[index].node, ast.Import | ast.ImportFrom) for index in binders
    ):
        return binders  # `torch.manual_seed(0)` changes torch, but the class does not need it
    changers = [i for i, s in enumerate(statements) if name in s.changes and i > binders[0]]
    return sorted({*binders, *changers})


def _statement(node: ast.stmt, text: str) -> Statement:
    module = ast.Module([node], [])
    names = module_names(module, annotations=True)
    return Statement(
        node=node,
        text=text,
        binds=frozenset(names.bound),
        uses=names.used,
        changes=_changed(node),
        adds=isinstance(node, ast.AugAssign),
    )


def _changed(node: ast.stmt) -> frozenset[str]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = [t for t in node.targets if isinstance(t, ast.Subscript | ast.Attribute)]
    elif isinstance(node, ast.AugAssign) and not isinstance(node.target, ast.Name):
        targets = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets = [node.value.func] if isinstance(node.value.func, ast.Attribute) else []
    return frozenset(name for target in targets if (name := _root(target)) is not None)


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _first_line(node: ast.stmt) -> int:
    decorators: Collection[ast.expr] = getattr(node, "decorator_list", ())
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _is_star_or_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and (
        node.module == "__future__" or any(alias.name == "*" for alias in node.names)
    )

"""The statements of a module that run on import."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fedjob.workspace.source.signatures import Function


def top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run on import, those within top-level if, try, with and loops included."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop(0)
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, Function | ast.ClassDef):
            children = ast.iter_child_nodes(node)
            inner = [
                c for c in children if isinstance(c, ast.stmt | ast.ExceptHandler | ast.match_case)
            ]
            pending = [*inner, *pending]

"""The statements of a module that run on import, in their order."""

import ast

from fedjob.workspace.source.statements import top_level


def test_blocks_are_entered_and_functions_and_classes_are_not():
    text = """
if a:
    x = 1
else:
    y = 2
try:
    with b:
        z = 3
except E:
    w = 4
match c:
    case 1:
        v = 5
def f():
    inside = 6
class C:
    inside = 7
"""
    names = [
        node.targets[0].id for node in top_level(ast.parse(text)) if isinstance(node, ast.Assign)
    ]
    assert names == ["x", "y", "z", "w", "v"]

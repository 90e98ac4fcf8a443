"""Row 25: of many statements, those that a class needs."""

import pytest

from fedjob.workspace.source.closure import needed_statements, statements_of

CASES = {
    "constants and functions": (
        "import torch\nA = 1\nB = 2\ndef f(): return A\nclass Net:\n    x = f()",
        ["A = 1", "def f(): return A", "class Net:\n    x = f()"],
    ),
    "two names of one statement": ("a, b = 1, 2\nclass Net:\n    x = a + b", None),
    "annotations": (
        "from typing import Any\nclass Net:\n    def f(self, x: Any): ...",
        None,
    ),
    "changes of a value": ("L = []\nL.append(1)\nL[0] = 2\nclass Net:\n    x = L", None),
    "an unused value": ("L = []\nclass Net: pass", ["class Net: pass"]),
    "a function that sets a global": (
        "N = 0\ndef count():\n    global N\n    N += 1\nclass Net:\n    x = N",
        ["N = 0", "class Net:\n    x = N"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("last_only", [True, False])
def test_a_class_takes_what_it_uses(text, expected, last_only):
    statements = statements_of(text)
    taken, missing = needed_statements(statements, ["Net"], last_only=last_only)
    assert [s.text for s in taken] == (expected or [s.text for s in statements])
    assert missing == set()


def test_of_cells_that_ran_again_the_last_counts():
    statements = statements_of("A = 1\nA = 2\nA += 1\nclass Net:\n    x = A + gone")
    last, missing = needed_statements(statements, ["Net"], last_only=True)
    assert [s.text for s in last] == ["A = 2", "A += 1", "class Net:\n    x = A + gone"]
    assert missing == {"gone"}
    every, _ = needed_statements(statements, ["Net"], last_only=False)
    assert every == statements

"""Row 26: a name that nothing defines is found before submission, and nothing else is refused."""

import ast
import textwrap

import pytest

from fedjob.workspace.source.model_file import InvalidSourceError, check_source
from fedjob.workspace.source.names import undefined_names

DEFINED = {
    "builtins": "print(len([]), __name__, __file__, __debug__, NotImplemented)",
    "import-alias": "import torch.nn as nn\nnn.Module",
    "import-dotted": "import os.path\nos.path.join('a')",
    "from-import": "from a import b as c, d\nc(d)",
    "comprehension": "rows = [[y for y in x] for x in [[1]] if x]",
    "comprehension-walrus": "def f(v):\n    any((hit := x) for x in v)\n    return hit",
    "dict-comprehension": "{k: v for k, v in {}.items()}",
    "generator-outer": "def f(n):\n    return sum(n * i for i in range(n))",
    "lambda": "f = lambda a, *b, c=1, **d: (a, b, c, d)",
    "closure": "def f():\n    def g():\n        return x\n    x = 1\n    return g",
    "nonlocal": "def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2",
    "global": "def f():\n    global K\n    K = 1\n    print(K)\ndef g():\n    return K",
    "except-as": "try:\n    pass\nexcept ValueError as e:\n    print(e)",
    "except-star": "try:\n    pass\nexcept* ValueError as e:\n    print(e)",
    "with-as": "with open('a') as f, open('b') as (g, h):\n    print(f, g, h)",
    "for-else": "for i, (a, *b) in []:\n    print(i, a, b)\nelse:\n    print(i)",
    "match": """
        match {}:
            case {"a": a, **rest}: print(a, rest)
            case [first, *others]: print(first, others)
            case int() as number: print(number)
            case str(text): print(text)
        """,
    "walrus": "if (n := 1) > 0:\n    print(n)",
    "augmented": "x = 1\nx += x",
    "decorator": "def d(f): return f\n@d\ndef g(): pass\n@d\nclass C: pass",
    "class-body": "class C:\n    a = 1\n    b = a + 1\n    def m(self, c=b): return self.a",
    "class-comprehension-first-iterable": "class C:\n    a = [1]\n    b = [x for x in a]",
    "class-dunder": "class C:\n    name = __qualname__\n    def m(self): return __class__",
    "super": "class C:\n    def m(self): return super().m()",
    "late-in-function": "def f():\n    return later()\ndef later(): pass",
    "class-own-name-in-method": "class C:\n    def m(self): return C()",
    "future-annotations": "from __future__ import annotations\ndef f(a: Unknown) -> Other: pass",
    "string-annotation": "def f(a: 'Unknown') -> 'Other': pass",
    "local-annotation": "def f():\n    x: Unknown = 1\n    return x",
    "star-import": "from torch import *\nnn.Module",
    "exec": "exec('nn = 1')\nprint(nn)",
    "globals-update": "globals().update(nn=1)\nprint(nn)",
    "try-import": "try:\n    import a as fast\nexcept ImportError:\n    fast = None\nprint(fast)",
    "probe": "try:\n    unicode\nexcept NameError:\n    unicode = str",
    "probe-bare": "try:\n    unicode\nexcept:\n    unicode = str",
    "probe-among-others": "try:\n    fast\nexcept (KeyError, NameError):\n    fast = str",
    "class-global": "class C:\n    global K\n    K = 1\n    def m(self): return K",
    "conditional": "if len('a'):\n    x = 1\nprint(x)",
    "del": "x = 1\ndel x",
    "type-checking": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a",
    "async": "async def f(s):\n    async with s as t:\n        return [x async for x in t]",
    "fstring": "x = 1\nf'{x!r:>{x}}'",
    "starred-arguments": "def f(*args, **kwargs): return args, kwargs",
}


@pytest.mark.parametrize("text", DEFINED.values(), ids=DEFINED.keys())
def test_nothing_is_reported_where_every_name_is_defined(text):
    """Row 26."""
    assert undefined_names(ast.parse(textwrap.dedent(text))) == []


UNDEFINED = {
    "base": ("class Net(nn.Module): pass", {"nn": (1,)}),
    "in-method": ("class Net:\n    def forward(self, x):\n        return F.relu(x)", {"F": (3,)}),
    "twice": ("def f():\n    np.ones(1)\n    np.zeros(1)", {"np": (2, 3)}),
    "dotted-import-binds-first": ("import torch.nn\nnn.Module", {"nn": (2,)}),
    "default": ("def f(a=missing): pass", {"missing": (1,)}),
    "decorator": ("@missing\ndef f(): pass", {"missing": (1,)}),
    "annotation": ("def f(a: Tensor) -> None: pass", {"Tensor": (1,)}),
    "class-annotation": ("class C:\n    a: Tensor", {"Tensor": (2,)}),
    "annotation-only": ("x: int\nprint(x)", {"x": (2,)}),
    "class-scope-hidden": ("class C:\n    a = 1\n    def m(self): return a", {"a": (3,)}),
    "class-scope-comprehension": ("class C:\n    a = 1\n    b = [a for _ in 'x']", {"a": (3,)}),
    "comprehension-leak": ("[x for x in []]\nprint(x)", {"x": (2,)}),
    "lambda-parameter-leak": ("f = lambda q: q\nprint(q)", {"q": (2,)}),
    "local-of-another": ("def f():\n    a = 1\ndef g():\n    return a", {"a": (4,)}),
    "fstring": ("print(f'{missing:>{width}}')", {"missing": (1,), "width": (1,)}),
    "exception-swallowed-in-function": (
        "def f():\n    try:\n        nn.Linear(1, 1)\n    except Exception:\n        raise",
        {"nn": (3,)},
    ),
    "other-exception": ("try:\n    nn\nexcept ValueError:\n    pass", {"nn": (2,)}),
    "used-before-its-definition": ("class A(B): pass\nclass B: pass", {"B": (1,)}),
    "keyword": ("class A(metaclass=Meta): pass", {"Meta": (1,)}),
    "match-value": ("match 1:\n    case Colour.RED: pass", {"Colour": (2,)}),
    "global-never-set": ("def f():\n    global x\ndef g():\n    return y", {"y": (4,)}),
}


@pytest.mark.parametrize(("text", "expected"), UNDEFINED.values(), ids=UNDEFINED.keys())
def test_every_undefined_name_is_reported_with_its_lines(text, expected):
    """Row 26."""
    assert {u.name: u.lines for u in undefined_names(ast.parse(text))} == expected


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("nn", "add `import torch.nn as nn` to the same file"),
        ("torch", "add `import torch` to the same file"),
        ("F", "add `import torch.nn.functional as F` to the same file"),
        ("np", "add `import numpy as np` to the same file"),
        ("pd", "add `import pandas as pd` to the same file"),
        ("DataLoader", "add `from torch.utils.data import DataLoader` to the same file"),
        ("transforms", "add `from torchvision import transforms` to the same file"),
        ("Image", "add `from PIL import Image` to the same file"),
        ("Path", "add `from pathlib import Path` to the same file"),
        ("json", "add `import json` to the same file"),
        ("display", "remove `display`: it is there in notebooks only"),
        ("MyBackbone", "define or import `MyBackbone` in the same file"),
    ],
)
def test_the_message_says_what_to_add(name, fix):
    """Row 26: `name 'nn' is not defined`, with the import to add."""
    text = f"import torch as t\nclass Net(t.nn.Module):\n    def f(self):\n        return {name}\n"
    with pytest.raises(InvalidSourceError) as caught:
        check_source(text, "Net")
    (fault,) = caught.value.faults
    assert fault.problem == f"name '{name}' is not defined"
    assert fault.fix.startswith(fix)
    assert fault.field == "model_def.py line 4"

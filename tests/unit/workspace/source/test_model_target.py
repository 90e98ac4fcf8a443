"""What may stand behind className; validate refuses only what the runtime cannot build."""

import pytest

from fedjob.workspace.source.model_file import InvalidSourceError, check_source
from support.workspace.model_targets import HEAD

# name: (code, className, parameters, required, whether num_classes may be passed)
TAKEN = {
    "class": ("", "Net", ("width", "num_classes"), ("width",), True),
    "factory": ("", "make_net", ("hidden", "depth"), ("depth",), False),
    "factory with classes": (
        "def build(num_classes): return Net(1, num_classes)",
        "build",
        ("num_classes",),
        ("num_classes",),
        True,
    ),
    "factory with keywords": ("def build(**kw): return Net(**kw)", "build", (), (), False),
    "lambda": ("build = lambda width=3: Net(width)", "build", ("width",), (), False),
    "alias": ("Model = Net", "Model", ("width", "num_classes"), ("width",), True),
    "alias of an alias": ("A = Net\nB = A", "B", ("width", "num_classes"), ("width",), True),
    "partial of a class": (
        "Small = partial(Net, width=4)",
        "Small",
        ("width", "num_classes"),
        (),
        True,
    ),
    "partial of a function": (
        "Small = functools.partial(make_net, depth=1)",
        "Small",
        ("hidden", "depth"),
        (),
        False,
    ),
    "nested": (
        "class Outer:\n    class Inner(nn.Module):\n        def __init__(self, a): pass",
        "Outer.Inner",
        ("a",),
        ("a",),
        False,
    ),
    "nested in nested": (
        "class A:\n    class B:\n        class C(nn.Module): pass",
        "A.B.C",
        (),
        (),
        False,
    ),
    "nested with a base beside it": (
        "class A:\n    class B(nn.Module):\n        def __init__(self, x): pass\n"
        "    class C(B): pass",
        "A.C",
        ("x",),
        ("x",),
        False,
    ),
    "defined last": (
        "Model = 3\nclass Model(nn.Module):\n    def __init__(self, z): pass",
        "Model",
        ("z",),
        ("z",),
        False,
    ),
}


@pytest.mark.parametrize(
    ("code", "name", "parameters", "required", "classes"), TAKEN.values(), ids=TAKEN.keys()
)
def test_a_model_is_found_behind_its_name(code, name, parameters, required, classes):
    """Fields factory-passes-validate and function-model."""
    info = check_source(HEAD + code, name)
    assert info.constructor.visible
    assert info.constructor.parameters == parameters
    assert info.constructor.required == required
    assert info.accepts_num_classes == classes


UNKNOWN = {
    "imported": ("", "Imported"),
    "nested in an import": ("", "Imported.Inner"),
    "called": ("def make_factory(): return Net\nModel = make_factory()", "Model"),
    "decorated": ("@functools.cache\ndef build(): pass", "build"),
    "attribute": ("Model = Imported.Net", "Model"),
    "condition": ("Model = Net if torch else make_net", "Model"),
    "unpacked": ("Model, other = Net, 1", "Model"),
    "partial of something imported": ("Model = partial(Imported, 1)", "Model"),
    "partial by position": ("Model = partial(Net, 1)", "Model"),
    "partial with unpacked keywords": ("K = {}\nModel = partial(Net, **K)", "Model"),
    "class method": (
        "class A:\n    @classmethod\n    def build(cls): return Net(1)",
        "A.build",
    ),
    "property of a class": ("class A:\n    Inner = Net", "A.Inner"),
    "inherited": ("class A(Imported): pass", "A.Inner"),
    "attribute of a function": ("make_net.x = Net", "make_net.x"),
    "one of two branches": ("if torch:\n    Model = Net\nelse:\n    Model = None", "Model"),
    "a fallback": ("try:\n    Model = Net\nexcept NameError:\n    Model = 3", "Model"),
    "in a loop": ("for Model in [Net]: pass", "Model"),
    "circle": ("A = B = 1\nA = B\nB = A", "A"),
    "star import": ("from torch.nn import *", "Linear"),
    "annotated without a value": ("Model: type = Net", "Model"),
}


@pytest.mark.parametrize(("code", "name"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_the_text_cannot_tell_is_not_refused(code, name):
    """The runtime asks the object itself."""
    check_source(HEAD + code, name)


REFUSED = {
    "number": ("Model = 3", "Model", "is a number, not a model"),
    "text": ("Model = 'resnet18'", "Model", "is a text, not a model"),
    "formatted text": ("Model = f'{torch}'", "Model", "is a text, not a model"),
    "dict": ("Model = {}", "Model", "is a dict, not a model"),
    "list": ("Model = [Net]", "Model", "is a list, not a model"),
    "none": ("Model = None", "Model", "is None, not a model"),
    "coroutine": ("async def build(): return Net(1)", "build", "`async def`, which returns no"),
    "generator": ("def build():\n    yield Net(1)", "build", "a call returns no model"),
    "no return": ("def build():\n    model = Net(1)", "build", "a function that returns nothing"),
    "return without a value": ("def build():\n    return", "build", "returns nothing"),
    "return of an inner function": (
        "def build():\n    def f():\n        return 1",
        "build",
        "returns nothing",
    ),
    "method": (
        "class A:\n    def build(self): return Net(1)",
        "A.build",
        "is a method, which nobody can call without an object",
    ),
    "nested class missing": (
        "class A:\n    class Inner(nn.Module): pass",
        "A.Iner",
        "A has no class Iner; it has Inner; did you mean Inner?",
    ),
    "nested class in an empty one": ("class A: pass", "A.B", "A has no class B; it has none"),
    "nested class no module": ("class A:\n    class B: pass", "A.B", "is not a torch module"),
    "name missing": ("", "make_nets", "did you mean make_net?"),
}


@pytest.mark.parametrize(("code", "name", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_what_certainly_is_no_model_is_refused(code, name, problem):
    with pytest.raises(InvalidSourceError) as caught:
        check_source(HEAD + code, name)
    (fault,) = caught.value.faults
    assert problem in str(fault)
    assert fault.fix


def test_a_command_line_that_is_read_on_import_gives_a_hint():
    code = """
import argparse
parser = argparse.ArgumentParser()
options = parser.parse_args()
fine = parser.parse_args([])
def main():
    return parser.parse_args()
if __name__ == "__main__":
    parser.parse_args()
"""
    (hint,) = check_source(HEAD + code, "Net").hints
    assert "parse_args() reads the command line when the file is imported" in hint
    assert "write parse_args([])" in hint

"""Rows 24 and 26: a hand-written model file is read, never run, and all its faults come at once."""

import sys

import pytest

from fedjob.errors import EXIT_INVALID
from fedjob.workspace.source.model_file import InvalidSourceError, check_source
from support.workspace.model_texts import HEAD, MODEL, NET


def test_a_hand_written_file_is_read_without_running_it():
    """Row 24."""
    text = MODEL + "\ndef fl_train_model(payload, out_dir=None):\n    return {}\n"
    info = check_source(text + "\nraise SystemExit('was run')\n", "Net")
    assert info.form == "A"
    assert info.train_function == "fl_train_model"
    assert info.parameters == ("payload", "out_dir")
    assert info.classes == ("Net",)
    assert info.constructor_parameters == ("width", "num_classes")
    assert info.accepts_num_classes
    assert info.modules == ("torch",)
    assert not info.has_validate
    assert info.missing_modules == ()


# name: (text, what the message holds, what its fix holds)
REFUSED = {
    "empty": ("  \n", "is empty", "write the model class"),
    "syntax": (MODEL + "def f(:\n", "line 11", "correct the syntax"),
    "indent": (MODEL + "  x = 1\n", "unindent does not match", "correct the syntax"),
    "return-outside": (MODEL + "return 1\n", "'return' outside function", "correct"),
    "magic": (MODEL + "%matplotlib inline\n", "notebook command", "remove the line"),
    "shell": (MODEL + "!pip install x\n", "notebook command", "remove the line"),
    "null-byte": (MODEL + "x = '\0'\n", "null byte", ""),
    "surrogate": (MODEL + "# \ud800", "cannot be read as Python", "plain source"),
    "deep": (MODEL + "x = " + "(" * 300 + ")" * 300, "", ""),
    "too-large": (MODEL + "#" * (1 << 20), "larger than 1 MiB", "keep weights"),
    "no-class": (HEAD + "x = 1\n", "no class Net", "name its model class"),
    "other-class": (MODEL.replace("class Net", "class Netz"), "it has Netz", "did you mean Netz"),
    "class-case": (MODEL.replace("class Net", "class NET"), "it has NET", "did you mean NET"),
    "no-base": ("class Net: pass", "not a torch module", "class Net(nn.Module)"),
    "no-base-deep": ("class A: pass\nclass Net(A): pass", "not a torch module", "nn.Module"),
    "no-import": (NET, "name 'nn' is not defined", "add `import torch.nn as nn` to the same file"),
    "relative": (
        MODEL + "from .parts import Head\n",
        "package around the file",
        "without the dot, and ship parts.py beside the file",
    ),
    "late-base": (
        HEAD + "class Net(Base): pass\nclass Base(nn.Module): pass\n",
        "name 'Base' is not defined yet: it comes on line 4",
        "above line 3",
    ),
    "A-other-name": (MODEL + "def fl_train_model(data): pass", "not take payload", "(payload"),
    "A-nothing": (MODEL + "def fl_train_model(): pass", "not take payload", "(payload"),
    "A-positional": (
        MODEL + "def fl_train_model(payload, /): pass",
        "by position only",
        "(payload",
    ),
    "A-extra": (MODEL + "def fl_train_model(payload, lr): pass", "needs lr", "training.extra"),
    "A-kwonly": (MODEL + "def fl_train_model(payload, *, lr): pass", "needs lr", "training.extra"),
    "A-async": (MODEL + "async def fl_train_model(payload): pass", "async def", "def fl_train"),
    "A-generator": (MODEL + "def fl_train_model(payload):\n    yield 1", "yield", "return"),
    "B-two": (MODEL + "def fl_train(model, env): pass", "2 of the three", "(model, env, out_dir"),
    "B-extra": (
        MODEL + "def fl_train(model, env, out_dir, lr): pass",
        "needs lr",
        "training.extra",
    ),
    "B-renamed-extra": (MODEL + "def fl_train(a, b, c, d): pass", "needs d", "(model, env"),
    "validate": (MODEL + "def fl_validate(model): pass", "1 of the three", "def fl_validate(model"),
}


@pytest.mark.parametrize(("text", "problem", "fix"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_cannot_work_is_refused(text, problem, fix):
    """Rows 24 and 26."""
    with pytest.raises(InvalidSourceError) as caught:
        check_source(text, "Net")
    assert caught.value.exit_code == EXIT_INVALID
    assert any(problem in str(f) and fix in f.fix for f in caught.value.faults), caught.value
    assert all(fault.field and fault.fix for fault in caught.value.faults)


def test_an_expression_nested_too_deeply_is_refused():
    """Row 26. The interpreter's limit is set here: importing parts of torch raises it."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    try:
        with pytest.raises(InvalidSourceError) as caught:
            check_source(MODEL + "x = 1" + " + 1" * 5000, "Net")
    finally:
        sys.setrecursionlimit(limit)
    (fault,) = caught.value.faults
    assert "nested too deeply" in str(fault)
    assert "split" in fault.fix


def test_a_missing_train_function_is_named_with_the_nearest():
    with pytest.raises(InvalidSourceError, match="did you mean my_training"):
        check_source(MODEL + "def my_training(payload): pass", "Net", "my_trainin")


def test_all_faults_come_at_once():
    """Row 26."""
    text = "class Net:\n    x = np.ones(1)\ndef fl_train_model(data): return F.relu(data)\n"
    with pytest.raises(InvalidSourceError) as caught:
        check_source(text, "Net")
    text = str(caught.value)
    for part in (
        "'np' is not defined",
        "'F' is not defined",
        "not a torch module",
        "not take payload",
    ):
        assert part in text


ALLOWED = {
    "imported-class": ("from torchvision.models import ResNet as Net", False, False),
    "star": ("from mymodels import *", False, False),
    "unknown-base": ("from my import Base\nclass Net(Base): pass", True, False),
    "inherited": (MODEL.replace("Net", "Base") + "class Net(Base): pass", True, True),
    "kwargs": (
        HEAD + "class Net(nn.Module):\n    def __init__(self, **kw): super().__init__()",
        True,
        True,
    ),
    "no-constructor": (HEAD + "class Net(nn.Module): pass", True, False),
    "metaclass": ("from a import M\nclass Net(metaclass=M): pass", True, False),
    "dataclass": (
        "import dataclasses, torch.nn as nn\n@dataclasses.dataclass\nclass Net(nn.Module): a: int",
        True,
        False,
    ),
    "diamond": (
        HEAD + "class A(nn.Module): pass\nclass B(A): pass\nclass Net(B, A): pass",
        True,
        False,
    ),
    "own-cycle": (HEAD + "class Net(nn.Module): pass\nclass Net(Net): pass", True, False),
    "duck": (
        "class Net:\n    def state_dict(self): ...\n    def load_state_dict(self, s): ...",
        True,
        False,
    ),
}


@pytest.mark.parametrize(("text", "written", "takes"), ALLOWED.values(), ids=ALLOWED.keys())
def test_what_cannot_be_known_is_not_refused(text, written, takes):
    """Row 24."""
    info = check_source(text, "Net")
    assert ("Net" in info.classes) == written
    assert info.accepts_num_classes == takes


def test_a_slip_in_the_training_functions_name_is_hinted_at():
    info = check_source(MODEL + "def fl_trian_model(payload): pass", "Net")
    assert info.form == "C"
    assert "fl_trian_model looks like fl_train_model" in info.hints[0]


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("", "the generated training loop"),
        ("def fl_train(model, env, out_dir): pass", "`fl_train`"),
    ],
)
def test_only_the_documented_form_can_do_without_a_model(code, what):
    """Row 36."""
    with pytest.raises(InvalidSourceError, match=f"is missing, and {what} trains the model") as e:
        check_source(MODEL + code, None)
    assert "such as `Net`" in e.value.faults[0].fix
    info = check_source("def fl_train_model(payload): pass", None)
    assert (info.form, info.class_name) == ("A", None)

"""Row 25: what a class takes with it, wherever it is written."""

import functools
import importlib
import subprocess
import sys
import textwrap

import pytest

from fedjob.workspace.source.check import check_model
from fedjob.workspace.source.model_code import code_of
from fedjob.workspace.source.model_file import InvalidSourceError

NET = """
import math
import layers

SCALE = math.pi

class Net:
    def __init__(self, width=4):
        self.layer = layers.Layer(width * SCALE)
    def state_dict(self): return {}
    def load_state_dict(self, state): pass

def make(width=2):
    return Net(width)

def fl_train_model(payload):
    return {"weights": {}, "samples": 1}
"""
LAYERS = "import depth\nclass Layer:\n    def __init__(self, width): self.depth = depth.DEPTH\n"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Writes files and imports one of their modules."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def load(name, files):
        for path, text in files.items():
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def net(load):
    beside = {"layers.py": LAYERS, "depth.py": "DEPTH = 3\n", "unrelated.py": "x = 1\n"}
    return load("my_net", {"my_net.py": NET, **beside})


def test_file_travels_whole_with_the_modules_beside_it(net):
    code = code_of(net.Net)
    assert code.text == NET
    assert code.class_name == "Net"
    assert set(code.files) == {"layers.py", "depth.py"}
    info = check_model(code.text, code.files, class_name="Net")
    assert (info.form, info.missing_modules) == ("A", ())


def test_function_and_partial_of_a_module(net):
    assert code_of(net.make).class_name == "make"
    inner = functools.partial(net.Net, width=3)
    code = code_of(functools.partial(inner, width=5))
    assert (code.class_name, code.args) == ("Net", {"width": 5})
    with pytest.raises(InvalidSourceError, match="holds positional arguments"):
        code_of(functools.partial(net.Net, 3))


def test_module_of_a_package_takes_the_package_along(load):
    files = {
        "vision/__init__.py": "",
        "vision/nets/__init__.py": "from .deep import Deep\n",
        "vision/nets/deep.py": """
            from ..parts import part
            import colours

            class Deep:
                class Small:
                    def state_dict(self): return {}
                    def load_state_dict(self, state): pass
                def state_dict(self): return {}
                def load_state_dict(self, state): pass

            def fl_train_model(payload):
                return part
            """,
        "vision/parts.py": "part = 1\n",
        "vision/colours.txt": "a\n",
        "colours.py": "RED = 1\n",
        "vision_test.py": "",
    }
    module = load("vision.nets.deep", files)
    code = code_of(module.Deep)
    assert code.text == "from vision.nets.deep import Deep, fl_train_model\n"
    assert set(code.files) == set(files) - {"vision_test.py"}
    info = check_model(code.text, code.files, class_name="Deep")
    assert (info.form, info.missing_modules) == ("A", ())
    assert code_of(module.Deep.Small).class_name == "Deep.Small"


def test_class_of_an_installed_package_is_a_requirement():
    from packaging.version import Version

    code = code_of(Version)
    assert code.text == "from packaging.version import Version\n"
    (requirement,) = code.requirements
    assert requirement.startswith("packaging==")
    from torch.nn import Linear

    code = code_of(Linear)
    assert code.text == "from torch.nn.modules.linear import Linear\n"
    assert code.requirements == (), "every image has torch"


def test_script_takes_what_the_class_needs_and_not_its_submission(tmp_path):
    (tmp_path / "layers.py").write_text("class Layer:\n    def __init__(self, width): pass\n")
    script = tmp_path / "script.py"
    script.write_text(
        NET
        + "from fedjob.workspace.source.model_code import code_of\n"
        + "code = code_of(Net)\nprint(sorted(code.files))\nprint(code.text)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd="/", check=True
    )
    first, _, text = done.stdout.partition("\n")
    assert first == "['layers.py']"
    assert "class Net" in text
    assert "fl_train_model" in text
    assert "code_of" not in text


NOTEBOOK = '''
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
cells = ["""
import torch
from torch import nn
import layers
%time 1
""", """
WIDTH = 3
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(WIDTH, 1)
""", """
def make_net(): return Net()
""", """
from fedjob.workspace.source.model_code import code_of
code = code_of({target})
print(code.class_name, sorted(code.files))
print(code.text)
"""]
for cell in cells:
    shell.run_cell(cell, store_history=True).raise_error()
'''


@pytest.mark.parametrize("target", ["Net", "make_net"])
def test_class_and_function_of_notebook_cells(tmp_path, target):
    """In IPython's own shell."""
    (tmp_path / "layers.py").write_text("x = 1\n")
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK.replace("{target}", target)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "IPYTHONDIR": str(tmp_path / "ipython"), "HOME": "/"},
        check=True,
    )
    shown = done.stdout[done.stdout.index(f"{target} [") :]
    first, _, text = shown.partition("\n")
    assert first == f"{target} []", "the class does not use layers"
    assert text.index("from torch import nn") < text.index("WIDTH = 3") < text.index("class Net")
    assert ("def make_net" in text) == (target == "make_net")
    assert "code_of" not in text


class Made:
    def state_dict(self):
        return {}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Made(), "made already .a Made.; pass the class Made and args="),
        (3, "is an int, not a class"),
        ("Net", "is a str, not a class"),
        (lambda: Made(), "move it to the top level"),
        (len, "is a builtin_function_or_method, not a class"),
    ],
)
def test_what_is_not_code_is_refused_with_a_fix(model, message):
    with pytest.raises(InvalidSourceError, match=message):
        code_of(model)

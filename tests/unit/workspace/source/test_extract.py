"""Row 25: a class from a file, a script or a notebook cell takes with it what it uses."""

import collections
import importlib.util
import linecache
import subprocess
import sys
import textwrap
import types

import pytest

from fedjob.workspace.source.extract import source_of
from fedjob.workspace.source.model_file import InvalidSourceError, check_source

MODULE = '''"""My experiments."""

from __future__ import annotations

import math
import os; import json
import fractions as fr
from collections import OrderedDict

try:
    from statistics import fmean as mean
except ImportError:
    mean = None

# How wide it is.
WIDTH = 4
NAMES = ["a"]
NAMES.append("b")
TABLE = {}
TABLE["x"] = math.pi
TABLE["x"] += 1
TABLE["x"].is_integer()
OTHER = "not used"


def scale(x):
    return x * WIDTH


@(lambda f: f)
def unused():
    raise SystemExit


class Base:
    """Half of it."""

    def state_dict(self):
        return OrderedDict(names=NAMES, table=TABLE, mean=mean([1, 2]))

    def load_state_dict(self, state):
        pass


class Net(Base):
    kind: fr.Fraction = fr.Fraction(1, 2)

    def forward(self, x):
        """Looks up a name in a nested function."""
        return [scale(y) for y in x] + [json.dumps(self.kind.numerator)]


def helper_of_training(env):
    return env["EPOCHS"]


def fl_train(model, env, out_dir, logger=None):
    return helper_of_training(env)


class Another(Net):
    pass


if __name__ == "__main__":
    raise SystemExit("must not be taken along")
'''


@pytest.fixture
def module(tmp_path):
    """The module above, imported from a file."""
    path = tmp_path / "experiments.py"
    path.write_text(MODULE)
    spec = importlib.util.spec_from_file_location("experiments", path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules["experiments"] = loaded
    spec.loader.exec_module(loaded)
    yield loaded
    del sys.modules["experiments"]


def run(text):
    namespace = {"__name__": "model_def"}
    exec(compile(text, "model_def.py", "exec"), namespace)  # noqa: S102 (text made here)
    return namespace


def test_a_class_of_a_file_takes_what_it_uses_and_nothing_else(module):
    """Row 25."""
    text = source_of(module.Net)
    names = run(text)
    net = names["Net"]()
    assert net.forward([1, 2]) == module.Net().forward([1, 2]) == [4, 8, "1"]
    assert net.state_dict() == module.Net().state_dict()
    assert names["fl_train"](None, {"EPOCHS": 3}, None) == 3
    for absent in ("unused", "OTHER", "Another", "import os", "__main__", "My experiments"):
        assert absent not in text, absent
    for present in (
        "# How wide it is.\nWIDTH = 4",
        "import json\n",
        "from __future__",
        '"""Half of it."""',
    ):
        assert present in text, present
    assert check_source(text, "Net").form == "B"


def test_a_class_that_derives_from_another_of_the_file(module):
    """Row 25."""
    assert run(source_of(module.Another))["Another"]().forward([1]) == [4, "1"]


def test_a_class_of_a_script(tmp_path):
    """Row 25: `__main__` has a file too."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import fractions
            from fedjob.workspace.source.extract import source_of

            HALF = fractions.Fraction(1, 2)

            class Net:
                half = HALF

            if __name__ == "__main__":
                print(source_of(Net))
            """
        )
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert (
        run(done.stdout)["Net"].half
        == run("import fractions\nHALF = fractions.Fraction(1, 2)")["HALF"]
    )
    assert "source_of" not in done.stdout


CELLS = [
    "this cell is not Python, such as %%html",
    "import fractions\nimport math as m",
    "WIDTH = 3\nraise_later = None",
    "def scale(x):\n    return x * 100",
    "class Net:\n    def forward(self, x):\n        return 'an older one'",
    "def scale(x):\n    return fractions.Fraction(x, WIDTH)",
    "WIDTH = 4",
    "class Net:\n    size = m.floor(2.5)\n    def forward(self, x):\n        return scale(x)",
    "net = Net()\nprint(net.forward(1))",
]


@pytest.fixture
def notebook():
    """Runs cells as a kernel does: compiled under a name that linecache knows, in one namespace."""
    names = {
        "__name__": "__main__",
        "from_startup": collections.OrderedDict,
        "FACTOR": 2.5,
        "thing": object(),
        "math2": m_alias(),
    }
    added = []

    def run_cells(cells):
        for number, cell in enumerate(cells):
            name = f"<ipython-input-{number}-test>"
            linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)
            added.append(name)
            if cell.startswith("this"):
                continue
            exec(compile(cell, name, "exec"), names)  # noqa: S102 (cells of this file)
        return names

    yield run_cells
    for name in added:
        linecache.cache.pop(name, None)


def m_alias():
    import math

    return math


def test_a_class_of_a_notebook_takes_the_newest_of_each_cell(notebook, capsys):
    """Row 25: imports and helpers stand in other cells, and cells run again."""
    net = notebook(CELLS)["Net"]
    text = source_of(net)
    made = run(text)["Net"]()
    assert (made.forward(1), made.size) == (net().forward(1), 2)
    assert "an older one" not in text
    assert "* 100" not in text
    assert "WIDTH = 3" not in text
    assert "print" not in text
    capsys.readouterr()


def test_kernels_own_modules_are_no_cells(notebook, monkeypatch):
    """A warning's traceback brings them to linecache, beside the cells."""
    own = "/env/lib/python3.11/site-packages/ipykernel/kernelapp.py"
    text = "from __future__ import annotations\nimport zmq\nclass Net:\n    pass\n"
    net = notebook(["class Net:\n    def forward(self):\n        return 1"])["Net"]
    monkeypatch.setitem(linecache.cache, own, (len(text), None, text.splitlines(True), own))
    assert source_of(net) == "class Net:\n    def forward(self):\n        return 1\n"


def test_cells_of_ipykernel_are_found(monkeypatch):
    name, names = "/tmp/ipykernel_4711/2085.py", {"__name__": "__main__"}
    cell = "class Net:\n    def forward(self):\n        return 1"
    monkeypatch.setitem(linecache.cache, name, (len(cell), None, cell.splitlines(True), name))
    exec(compile(cell, name, "exec"), names)  # noqa: S102 (the cell above)
    assert source_of(names["Net"]) == cell + "\n"


def test_future_import_below_a_comment_stays_first(notebook):
    cells = [
        "import math",
        "# Types are not evaluated.\nfrom __future__ import annotations\n"
        "class Net:\n    def forward(self) -> Missing:\n        return math.pi",
    ]
    text = source_of(notebook(cells)["Net"])
    assert text.startswith("# Types are not evaluated.\nfrom __future__ import annotations\n")
    assert run(text)["Net"]().forward() > 3


def test_a_name_that_only_the_notebooks_namespace_has_is_imported(notebook):
    arguments = "a=math2.pi, b=FACTOR, c=len('ab'), d=lambda: thing"
    cells = [f"class Net:\n    def forward(self):\n        return from_startup({arguments})"]
    text = source_of(notebook(cells)["Net"])
    assert "from collections import OrderedDict as from_startup" in text
    assert "import math as math2" in text
    assert "FACTOR = 2.5" in text
    assert "thing =" not in text
    assert run(text)["Net"]().forward()["a"] > 3


def test_a_class_of_a_real_ipython_shell(tmp_path):
    """Row 25, with IPython's own compiler and cache, magics included."""
    program = textwrap.dedent(
        """
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        for cell in (
            "%pwd",
            "import fractions as fr\\nfrom collections import OrderedDict",
            "!true",
            "class Base:\\n    def f(self):\\n        return OrderedDict(a=fr.Fraction(1, 2))",
            "class Net(Base):\\n    pass",
            "def fl_train_model(payload):\\n    return Net",
            "from fedjob.workspace.source.extract import source_of",
            "print('SOURCE')\\nprint(source_of(Net))",
        ):
            shell.run_cell(cell, store_history=True, silent=False).raise_error()
        """
    )
    environment = {**__import__("os").environ, "IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout.partition("SOURCE\n")[2]
    assert text, done.stdout + done.stderr
    assert str(run(text)["Net"]().f()["a"]) == "1/2"
    assert "def fl_train_model" in text
    assert "source_of" not in text
    assert "get_ipython" not in text


def inner_class():
    class Inner:
        pass

    return Inner


def made_by_a_call():
    return type("Made", (), {"__module__": __name__})


REFUSED = {
    "builtin": (lambda: int, "has no source that can be read"),
    "extension": (lambda: collections.deque, "has no source that can be read"),
    "inner": (inner_class, "inside a function or another class"),
    "type-call": (made_by_a_call, "has no source that can be read"),
    "instance": (lambda: 3, "is an object of int, not a class"),
    "no-module": (lambda: type("Lost", (), {"__module__": "gone"}), "has no source"),
    "extension-module": (
        lambda: type("Fast", (), {"__module__": "fast_module"}),
        "not Python source",
    ),
    "prompt": (lambda: type("Typed", (), {"__module__": "typed_at_prompt"}), "keeps no source"),
}


@pytest.mark.parametrize(("make", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_a_class_whose_source_cannot_be_had_is_refused(make, problem, monkeypatch):
    """Row 25."""
    monkeypatch.setitem(sys.modules, "typed_at_prompt", types.ModuleType("typed_at_prompt"))
    extension = types.ModuleType("fast_module")
    extension.__file__ = "/usr/lib/fast_module.so"
    monkeypatch.setitem(sys.modules, "fast_module", extension)
    with pytest.raises(InvalidSourceError) as caught:
        source_of(make())
    assert problem in str(caught.value)
    assert caught.value.faults[0].fix


def test_a_file_that_was_broken_since_its_import_is_refused(module):
    with open(module.__file__, "a") as file:
        file.write("\nclass (:\n")
    linecache.checkcache()
    with pytest.raises(InvalidSourceError, match="is not Python now"):
        source_of(module.Net)

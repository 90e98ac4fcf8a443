"""Modules beside the model file are found by its imports, transitively."""

import pytest

from fedjob.workspace.source.local_modules import (
    neighbours_of,
    reached_modules,
    shipped_modules,
)


def folder_of(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def found(tmp_path, text, files):
    folder = folder_of(tmp_path, {"net.py": text, **files})
    return neighbours_of(folder / "net.py", text)


CASES = {
    "module": ("from helpers import T", {"helpers.py": "T = 1"}, {"helpers.py"}),
    "transitive": (
        "import a",
        {"a.py": "import b", "b.py": "import c.d", "c/d.py": "", "e.py": ""},
        {"a.py", "b.py", "c/d.py"},
    ),
    "in a function": ("def f():\n    import a", {"a.py": ""}, {"a.py"}),
    "optional": ("try:\n    import a\nexcept ImportError:\n    a = None", {"a.py": ""}, {"a.py"}),
    "package with its data": (
        "from pkg import x",
        {
            "pkg/__init__.py": "",
            "pkg/x.py": "",
            "pkg/vocab.txt": "w",
            "pkg/__pycache__/x.pyc": "",
        },
        {"pkg/__init__.py", "pkg/x.py", "pkg/vocab.txt"},
    ),
    "modules that a package imports": (
        "import pkg",
        {"pkg/__init__.py": "from . import x", "pkg/x.py": "import other", "other.py": ""},
        {"pkg/__init__.py", "pkg/x.py", "other.py"},
    ),
    "namespace package": ("import space.a", {"space/a.py": ""}, {"space/a.py"}),
    "circle": ("import a", {"a.py": "import net"}, {"a.py"}),
    "itself": ("import net", {}, set()),
    "installed": ("import torch\nimport json", {"torch/notes.txt": "", "json/a.py": ""}, set()),
    "hides a standard module": ("import random", {"random.py": ""}, {"random.py"}),
    "broken module": ("import a", {"a.py": "def (", "b.py": ""}, {"a.py"}),
    "not imported": ("x = 1", {"a.py": ""}, set()),
}


@pytest.mark.parametrize(("text", "files", "expected"), CASES.values(), ids=CASES.keys())
def test_what_is_imported_is_shipped(tmp_path, text, files, expected):
    """Fields helper-module and sibling-module."""
    beside = found(tmp_path, text, files)
    assert set(beside.files) == expected
    for name, content in beside.files.items():
        assert content == files[name].encode()


def test_data_that_the_code_names_is_pointed_out(tmp_path):
    text = "import a\nopen(HERE / 'vocab.txt')\nopen('absent.txt'), '../x', 'net.py', 'a.py'"
    beside = found(
        tmp_path,
        text,
        {
            "vocab.txt": "",
            "a.py": "Path('cfg/a.json')\nimport os, net\nname = '" + "ä" * 200 + "'",
            "cfg/a.json": "",
        },
    )
    assert beside.data == ("cfg/a.json", "vocab.txt")


def test_an_undecodable_module_is_shipped_as_it_is(tmp_path):
    (tmp_path / "a.py").write_bytes(b"\xff")
    (tmp_path / "net.py").write_text("import a")
    assert neighbours_of(tmp_path / "net.py", "import a").files == {"a.py": b"\xff"}


def test_a_model_file_that_is_no_python_has_no_neighbours(tmp_path):
    (tmp_path / "a.py").write_text("")
    assert not neighbours_of(tmp_path / "net.py", "import a\ndef (").files


def test_shipped_files_make_modules():
    files = ["a.py", "p/__init__.py", "p/q/r.py", "data.txt", "my-script.py", "1/x.py"]
    assert shipped_modules(dict.fromkeys(files, b"")) == {
        "a": "a.py",
        "p": "p/__init__.py",
        "p.q.r": "p/q/r.py",
    }


def test_only_modules_that_are_certainly_imported_are_reached():
    files = {
        "a.py": b"from pkg.sub import deep",
        "pkg/__init__.py": b"from .near import x",
        "pkg/near.py": b"x = 1",
        "pkg/sub/__init__.py": b"from .. import near",
        "pkg/sub/deep.py": b"",
        "maybe.py": b"",
        "script.py": b"",
        "latin.py": b"\xff",
    }
    text = "import a, latin\ntry:\n    import maybe\nexcept ImportError:\n    pass"
    reached = reached_modules(text, files)
    assert reached.keys() == files.keys() - {"maybe.py", "script.py"}
    assert reached["a.py"] == "from pkg.sub import deep"
    assert reached["latin.py"] == ""

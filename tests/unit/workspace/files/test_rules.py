"""Files beside model_def.py: which names and sizes may be shipped."""

import pytest

from fedjob.workspace.files.rules import FileLimits, file_faults, module_of, path_problem

SMALL = FileLimits(max_files=2, max_file_bytes=10, max_total_bytes=15)

GOOD = [
    "helpers.py",
    "pkg/__init__.py",
    "pkg/sub/net.py",
    "data/random/a.txt",
    "logging/notes.txt",
    ".config/x",
    "größe é.txt",
    "a+b=c@d.txt",
]


@pytest.mark.parametrize("path", GOOD)
def test_plain_relative_paths_are_shipped(path):
    assert path_problem(path) is None
    assert file_faults({path: b""}, "files") == []


BAD_PATHS = {
    "../a.py": "leaves the folder by `..`",
    "a/../b.py": "leaves the folder by `..`",
    "/etc/passwd": "absolute",
    "a//b": "empty or `.` part",
    "./a": "empty or `.` part",
    "a\\b": "backslash",
    "C:x": "drive letter",
    "a\x00b": "control character",
    "": "no name",
    ".wh.model_def.py": "image layers delete",
    "/".join(["x" * 100] * 6): "more than 512 bytes",
    "x" * 300: "too long",
}


@pytest.mark.parametrize(("path", "problem"), BAD_PATHS.items())
def test_paths_that_leave_the_folder_are_refused(path, problem):
    (fault,) = file_faults({path: b""}, "files")
    assert problem in fault.problem
    assert fault.fix


MODULES = {
    "model_def/__init__.py": ("generated file", "rename it"),
    "fedjob_executor.py": ("generated file", "rename it"),
    "random.py": ("would hide Python's own module", "my_random"),
    "logging/__init__.py": ("would hide Python's own module", "my_logging"),
    "torch/__init__.py": ("would hide the package", "my_torch"),
    "fedjob.py": ("would hide the package", "my_fedjob"),
}


@pytest.mark.parametrize(("path", "expected"), MODULES.items())
def test_a_module_that_would_hide_another_is_refused(path, expected):
    (fault,) = file_faults({path: b""}, "files")
    assert expected[0] in fault.problem
    assert expected[1] in fault.fix


def test_two_names_for_one_place_are_refused():
    faults = file_faults({"a": b"", "a/b": b"", "C.txt": b"", "c.TXT": b""}, "files")
    assert [f.field for f in faults] == ["files: a", "files: c.TXT"]
    assert "as a folder" in faults[0].problem
    assert "as C.txt too" in faults[1].problem


def test_sizes_are_bounded_each_and_together():
    assert file_faults({"a": b"x" * 10}, "files", SMALL) == []
    large = file_faults({"a": b"x" * 11}, "files", SMALL)
    total = file_faults({"a": b"x" * 8, "b": b"x" * 8}, "files", SMALL)
    many = file_faults({"a": b"", "b": b"", "c": b""}, "files", SMALL)
    assert [str(f.problem) for f in (*large, *total, *many)] == [
        "has 11 bytes; at most 10 are allowed",
        "hold 16 bytes; at most 15 are allowed",
        "are 3 files; at most 2 are allowed",
    ]


def test_at_most_twenty_faults_are_listed():
    assert len(file_faults({f"../{n}": b"" for n in range(50)}, "files")) == 20


@pytest.mark.parametrize(
    ("path", "module"),
    [("a.py", "a"), ("a.txt", ""), ("p/__init__.py", "p"), ("p/a.py", ""), ("p/q/__init__.py", "")],
)
def test_the_module_that_a_file_makes(path, module):
    assert module_of(path) == module

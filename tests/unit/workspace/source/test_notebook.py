"""A notebook as one Python file: code cells joined, commands left out with a note."""

import ast
import json

import pytest

from fedjob.workspace.source.model_file import InvalidSourceError
from fedjob.workspace.source.notebook import notebook_source


def notebook(*cells):
    made = [
        {"cell_type": "code", "source": cell} if isinstance(cell, str | list) else cell
        for cell in cells
    ]
    return json.dumps({"nbformat": 4, "metadata": {}, "cells": made})


def source(*cells):
    return notebook_source(notebook(*cells), "a.ipynb")


def test_code_cells_are_joined_and_text_cells_left_out():
    text, notes = source(
        ["import math\n", "x = 1"], {"cell_type": "markdown", "source": "# Title"}, "y = x"
    )
    assert text == "import math\nx = 1\n\ny = x\n"
    assert notes == ()


COMMANDS = {
    "%matplotlib inline": "pass  # %matplotlib inline",
    "!pip install x": "pass  # !pip install x",
    "files = !ls": "pass  # files = !ls",
    "t = %timeit -o f()": "pass  # t = %timeit -o f()",
    "?torch": "pass  # ?torch",
    "torch.nn??": "pass  # torch.nn??",
    "    %time x": "    pass  # %time x",
}


@pytest.mark.parametrize(("line", "kept"), COMMANDS.items())
def test_a_command_becomes_a_comment_and_lines_stay_where_they_are(line, kept):
    text, notes = source(f"a = 1\n{line}\nb = 2")
    assert text == f"a = 1\n{kept}\nb = 2\n"
    assert notes == (f"a.ipynb: notebook commands are left out (cell 1: {line.strip()})",)


@pytest.mark.parametrize(
    "cell", ["x = (10\n% 3)", "x = 10 \\\n% 3", "x = {\n'a': 1\n% 1}", "s = 'a?'", "x = y != 1"]
)
def test_python_that_looks_like_a_command_stays(cell):
    text, notes = source(cell)
    ast.parse(text)
    assert (text, notes) == (cell + "\n", ())


def test_a_block_whose_only_line_is_a_command_stays_whole():
    text, _ = source("if True:\n    %time f()\nx = 1")
    ast.parse(text)


def test_a_cell_of_another_language_is_left_out_whole():
    text, notes = source("%%bash\nrm -rf x\n", "x = 1")
    assert text == "# %%bash\n# rm -rf x\n\nx = 1\n"
    assert "cell 1: %%bash" in notes[0]


def test_only_some_commands_are_listed():
    _, (note,) = source("\n".join(f"!run {n}" for n in range(8)))
    assert "cell 1: !run 4 and 3 more)" in note


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import torch", "is not a notebook: Expecting value"),
        ("[]", "it has no cells"),
        ('{"cells": 1}', "it has no cells"),
        (notebook({"cell_type": "markdown", "source": "x"}), "has no code cell"),
        (notebook(" \n"), "has no code cell"),
    ],
)
def test_anything_else_is_refused(text, problem):
    with pytest.raises(InvalidSourceError, match=problem):
        notebook_source(text, "a.ipynb")

"""A model file that Python itself reads is read: byte order marks, coding lines, notebooks."""

import json

import pytest

from fedjob.workspace.source.decode import read_source, text_source
from fedjob.workspace.source.model_file import InvalidSourceError, check_source

TEXT = "# größe\nX = 'é'\n"
LATIN = f"# -*- coding: latin-1 -*-\n{TEXT}"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (TEXT.encode(), TEXT),
        (b"\xef\xbb\xbf" + TEXT.encode(), TEXT),
        (LATIN.encode("latin-1"), LATIN),
        (f"#!/usr/bin/python\n{LATIN}".encode("latin-1"), f"#!/usr/bin/python\n{LATIN}"),
        (b"\xef\xbb\xbf# coding: utf-8\nx = 1\n", "# coding: utf-8\nx = 1\n"),
        (b"x = 1\r\n", "x = 1\r\n"),
    ],
)
def test_the_file_is_read_as_python_reads_it_and_shipped_as_it_is(data, text):
    """Field model-file-bom."""
    source = read_source(data, "m.py")
    assert (source.text, source.content, source.notes) == (text, data, ())
    compile(data, "m.py", "exec")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (TEXT.encode("latin-1"), "is not UTF-8 text"),
        (b"x = 1\ny = 2\nz = '\xff'\n", "is not UTF-8 text"),
        (b"# coding: ascii\nx = '\xff'\n", "is not ascii text"),
        (b"# coding: klingon\n", "unknown encoding"),
        (b"\xef\xbb\xbf# coding: latin-1\n", "encoding problem"),
        (b"PK\x03\x04\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_other_bytes_are_refused_with_what_to_do(data, problem):
    with pytest.raises(InvalidSourceError, match=problem) as caught:
        read_source(data, "m.py")
    assert "save it as UTF-8" in caught.value.faults[0].fix


def test_an_inline_text_is_encoded_as_it_declares():
    source = text_source(LATIN, "model_def.py")
    assert source.content == LATIN.encode("latin-1")
    assert source.text == LATIN
    assert text_source(TEXT, "model_def.py").content == TEXT.encode()
    with pytest.raises(InvalidSourceError, match=r"declares the encoding .*; remove the coding"):
        text_source("# coding: latin-1\nx = '€'\n", "model_def.py")


def test_a_byte_order_mark_in_an_inline_text_is_no_character_of_the_code():
    assert text_source("\ufeffx = 1\n", "model_def.py").text == "x = 1\n"


def test_a_notebook_becomes_python():
    cells = [
        {"cell_type": "code", "source": ["import torch.nn as nn\n", "class Net(nn.Module): 1"]}
    ]
    source = read_source(json.dumps({"cells": cells}).encode(), "a.ipynb")
    assert source.content == b"import torch.nn as nn\nclass Net(nn.Module): 1\n"
    assert check_source(source.text, "Net").form == "C"

"""The model file as bytes and as text: encodings as Python itself reads them, and notebooks."""

from __future__ import annotations

import codecs
import io
import tokenize
from dataclasses import dataclass, field

from fedjob.errors import Fault
from fedjob.workspace.source.model_file import InvalidSourceError
from fedjob.workspace.source.notebook import notebook_source


@dataclass(frozen=True)
class ModelSource:
    """A model file.

    Attributes:
        text: What it says, for the checks; without a byte order mark.
        content: The bytes that are shipped as model_def.py: the file's own, unless it is a
            notebook.
        notes: What was left out of a notebook.
    """

    text: str
    content: bytes = field(repr=False)
    notes: tuple[str, ...] = ()


def read_source(data: bytes, name: str) -> ModelSource:
    """Reads a Python file or a notebook.

    A byte order mark and a coding line (PEP 263) are followed as Python follows them.

    Args:
        data: The file.
        name: What messages call it; one that ends in .ipynb is a notebook.

    Raises:
        InvalidSourceError: It is neither UTF-8 text nor text in the encoding that it declares.
    """
    if name.endswith(".ipynb"):
        text, notes = notebook_source(_decoded(data, name), name)
        return ModelSource(text, text.encode(), notes)
    return ModelSource(_decoded(data, name), data)


def text_source(text: str, name: str) -> ModelSource:
    """The model file that a text stands for, encoded as its coding line says.

    Raises:
        InvalidSourceError: It declares an encoding that does not have its characters.
    """
    try:
        return read_source(text.encode(_encoding(text.encode(), name)), name)
    except UnicodeEncodeError as error:
        fix = "remove the coding line: the text is UTF-8"
        problem = f"declares the encoding {error.encoding}, which lacks some of its characters"
        raise InvalidSourceError([Fault(name, problem, fix)]) from None


def _decoded(data: bytes, name: str) -> str:
    encoding = _encoding(data, name)
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode(encoding)
    except UnicodeDecodeError:
        kind = "UTF-8" if encoding == "utf-8" else encoding
        fix = "save it as UTF-8, or declare its encoding in the first line (PEP 263)"
        raise InvalidSourceError([Fault(name, f"is not {kind} text", fix)]) from None


def _encoding(data: bytes, name: str) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as error:
        # Python says the same of a first line that is not UTF-8 and of an unknown encoding.
        problem = "is not UTF-8 text" if "invalid or missing" in str(error) else str(error)
        fix = "save it as UTF-8, or declare its encoding in the first line (PEP 263)"
        raise InvalidSourceError([Fault(name, problem, fix)]) from None
    return encoding.removesuffix("-sig")

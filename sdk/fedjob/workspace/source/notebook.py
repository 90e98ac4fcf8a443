"""A notebook (.ipynb, nbformat 4) as one Python file: its code cells, without magics."""

from __future__ import annotations

import json
import re
from typing import Any

from fedjob.errors import Fault
from fedjob.workspace.source.model_file import InvalidSourceError

_MAGIC = re.compile(r"^\s*(%|!|\?)|^\s*[\w.]+\?{1,2}\s*$")
_ASSIGNED_MAGIC = re.compile(r"^(\s*)([\w, ]+)=\s*[%!]")
MAX_NOTED = 5


def notebook_source(text: str, name: str) -> tuple[str, tuple[str, ...]]:
    """The code cells in their order, and notes of what was left out.

    A line of `%` or `!` becomes a comment, so that line numbers stay; a cell of another language
    (`%%bash`) becomes comments whole.

    Args:
        text: The notebook's JSON.
        name: Its file name, for messages.

    Raises:
        InvalidSourceError: It is not a notebook, or has no code.
    """
    cells = _cells(text, name)
    parts: list[str] = []
    dropped: list[str] = []
    for number, cell in enumerate(cells, start=1):
        lines = cell.splitlines()
        first = next((line for line in lines if line.strip()), "")
        if first.startswith("%%"):
            dropped.append(f"cell {number}: {first.strip()}")
            parts.append("\n".join(f"# {line}" for line in lines))
            continue
        kept: list[str] = []
        for line in lines:
            assigned = _ASSIGNED_MAGIC.match(line)
            if assigned is not None or _is_magic(line, kept):
                dropped.append(f"cell {number}: {line.strip()}")
                indent = line[: len(line) - len(line.lstrip())]
                # `pass` keeps a block whole whose only line was a magic.
                kept.append(f"{indent}pass  # {line.strip()}")
            else:
                kept.append(line)
        parts.append("\n".join(kept))
    if not any(part.strip() for part in parts):
        raise InvalidSourceError([Fault(name, "has no code cell", "write the model into one")])
    notes = []
    if dropped:
        shown = "; ".join(dropped[:MAX_NOTED])
        more = f" and {len(dropped) - MAX_NOTED} more" if len(dropped) > MAX_NOTED else ""
        notes.append(f"{name}: notebook commands are left out ({shown}{more})")
    return "\n\n".join(parts) + "\n", tuple(notes)


def _is_magic(line: str, before: list[str]) -> bool:
    """A line that begins with % may also go on with an expression of the line before."""
    if not _MAGIC.match(line):
        return False
    previous = next((item for item in reversed(before) if item.strip()), "")
    open_brackets = sum(part.count(c) for part in before for c in "([{")
    closed = sum(part.count(c) for part in before for c in ")]}")
    return open_brackets <= closed and not previous.rstrip().endswith("\\")


def _cells(text: str, name: str) -> list[str]:
    fix = "give the .ipynb file as Jupyter saves it, or a .py file"
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise InvalidSourceError([Fault(name, f"is not a notebook: {error}", fix)]) from None
    cells = value.get("cells") if isinstance(value, dict) else None
    if not isinstance(cells, list):
        raise InvalidSourceError([Fault(name, "is not a notebook: it has no cells", fix)])
    found = []
    for cell in cells:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", "")
            found.append(source if isinstance(source, str) else "".join(map(str, source)))
    return found

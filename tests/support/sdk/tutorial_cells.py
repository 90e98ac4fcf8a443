"""The code of docs/tutorials/python.md, cell by cell."""

from __future__ import annotations

import textwrap

from support.repository import ROOT

TUTORIAL = ROOT / "docs" / "tutorials" / "python.md"
NOTEBOOK = ROOT / "examples" / "notebook" / "sdk.ipynb"


def cells() -> list[str]:
    """Every block of code of the numbered steps, in order."""
    found: list[str] = []
    block: list[str] = []
    for line in [*TUTORIAL.read_text().splitlines(), "end"]:
        if line.startswith("       ") or (block and not line.strip()):
            block.append(line)
        elif block:
            found.append(textwrap.dedent("\n".join(block)).strip())
            block = []
    return found

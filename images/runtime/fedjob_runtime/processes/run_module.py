"""Runs a module as `python -m` does, in a Python that may have imported it already."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence


def run_module(argv: Sequence[str]) -> None:
    """Runs module `argv[0]` with the arguments that follow, and raises what it raises."""
    sys.argv = list(argv)
    # runpy warns about a module that is imported before it is run.
    sys.modules.pop(argv[0], None)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)

"""Faults of the shared checks name options of the command line; Python's arguments differ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fedjob.errors import InvalidInputError

_ARGUMENTS = {
    "--shards": "shards=",
    "--model-file": "model_file=",
    "--checkpoint": "checkpoint=",
    "--out": "out=",
}
_SWITCHES = {"--fresh": "fresh=True", "--install": "install=True"}
_OPTION = re.compile(r"(--[a-z-]+)( [A-Z]+\b)?")


@contextmanager
def python_names() -> Iterator[None]:
    """Raise the block's `InvalidInputError` with Python's names in place of the options."""
    try:
        yield
    except InvalidInputError as error:
        error.reword(in_python)
        raise


def in_python(text: str) -> str:
    """The text with `shards=DIR` in place of `--shards DIR`, and so on."""

    def replaced(match: re.Match[str]) -> str:
        option, value = match[1], match[2] or ""
        if option in _SWITCHES:
            return _SWITCHES[option] + value
        if option in _ARGUMENTS:
            return _ARGUMENTS[option] + value.strip() if value else _ARGUMENTS[option]
        return match[0]

    return _ARGUMENTS[text].rstrip("=") if text in _ARGUMENTS else _OPTION.sub(replaced, text)

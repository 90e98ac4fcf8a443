"""The logs of a local run: one file a process, with a line where each start of it begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fedjob.formats import rfc3339

POLL = 0.3
"""Seconds between looks at a log that is followed."""
_MARK = "=== fedjob starts "


def start_line(name: str) -> str:
    """The line that begins a start of a process in its log."""
    return f"{_MARK}{name} at {rfc3339(time.time())} ===\n"


def is_start(line: str) -> bool:
    """Whether the line is one of `start_line`."""
    return line.startswith(_MARK)


def lines_of_start(path: Path, *, previous: bool = False) -> Iterator[str]:
    """The lines of the last start of a process, or of the start before it.

    A log without start lines, as earlier versions wrote it, is one start.
    """
    position = _position(path, 2 if previous else 1)
    if position is None:
        return
    for number, line in enumerate(_lines(path, position)):
        if is_start(line):
            if number and previous:
                return
            continue
        yield line


def all_lines(path: Path) -> Iterator[str]:
    """The lines of every start, without the lines that separate them."""
    return (line for line in _lines(path, 0) if not is_start(line))


def followed(path: Path, alive: Callable[[], bool]) -> Iterator[str]:
    """The lines of the last start, and new ones as they come, while `alive`; also of restarts."""
    with open(path, encoding="utf-8", errors="replace") as file:
        file.seek(_position(path, 1) or 0)
        unfinished = ""
        while True:
            last = not alive()
            for line in file:
                unfinished += line
                if unfinished.endswith("\n"):
                    if not is_start(unfinished):
                        yield unfinished.rstrip("\n")
                    unfinished = ""
            if last:
                if unfinished:
                    yield unfinished
                return
            time.sleep(POLL)


def _lines(path: Path, position: int) -> Iterator[str]:
    with open(path, "rb") as file:
        file.seek(position)
        for line in file:
            yield line.decode(errors="replace").rstrip("\r\n")


def _position(path: Path, back: int) -> int | None:
    """Where the start begins that is the `back`-th from the end; None where there was none."""
    mark = _MARK.encode()
    found: list[int] = []
    position = 0
    with open(path, "rb") as file:
        for line in file:
            if line.startswith(mark):
                found.append(position)
            position += len(line)
    if not found:
        return 0 if back == 1 else None
    return found[-back] if back <= len(found) else None

"""Tracebacks as text for a message: root cause, its place in the author's files, last lines."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TAIL_LINES = 12
TAIL_CHARACTERS = 2000
"""What a message keeps of a traceback: it has to fit into a status. The log has all of it."""
MAX_SUMMARY = 500
MAX_CAUSES = 8

_WRAPPED = re.compile(r"\ACaught \w+ .*\.\nOriginal (Traceback .*)\Z", re.DOTALL)
"""How torch passes on an exception of a DataLoader worker or of a replica: as text."""
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+)(?:, in (?P<function>.*))?$', re.M)


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code.

    Attributes:
        file: The file's name, without its folder.
        line: From 1; 0 where unknown.
        function: The function around it; empty at module level.
    """

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        inside = f", in {self.function}" if self.function else ""
        return f"{self.file} line {self.line}{inside}"


@dataclass(frozen=True, slots=True)
class Raised:
    """One exception of a chain, from this process or as text from another.

    Attributes:
        kind: Name of its class, such as `KeyError`.
        summary: `KeyError: 'label'`, on one line.
        frames: (file, line, function) from the outermost call inwards.
        text: Its traceback as Python prints it, without the rest of the chain.
        meant: It was raised `from` the next one of the chain, which is then its cause.
    """

    kind: str
    summary: str
    frames: tuple[tuple[str, int, str], ...]
    text: str
    meant: bool = False

    def place(self, folder: Path) -> Place | None:
        """Its innermost line in `folder`; None where no line there took part."""
        within = [frame for frame in self.frames if Path(frame[0]).is_relative_to(folder)]
        if not within:
            return None
        file, line, function = within[-1]
        return Place(Path(file).name, line, "" if function == "<module>" else function)

    def tail(self, folder: Path) -> str:
        """Its traceback's last lines, from the author's first line on."""
        frames = list(_FRAME.finditer(self.text))
        start = next((f.start() for f in frames if Path(f["file"]).is_relative_to(folder)), None)
        head = "Traceback (most recent call last):\n"
        text = self.text if start is None else head + self.text[start:]
        return "\n".join(text.rstrip().splitlines()[-TAIL_LINES:])[-TAIL_CHARACTERS:]


@dataclass(frozen=True, slots=True)
class Failure:
    """What an exception comes down to.

    Attributes:
        root: The exception that started it: `raise ... from` and DataLoader workers are followed.
        summary: The root's summary, and what it led to.
        chain: The root, and what was raised from it, in that order.
    """

    root: Raised
    summary: str
    chain: tuple[Raised, ...]

    def place(self, folder: Path) -> Place | None:
        """The root's line in `folder`, else that of the first one that has any."""
        places = (raised.place(folder) for raised in self.chain)
        return next((place for place in places if place is not None), None)

    def tail(self, folder: Path) -> str:
        """The last lines of the traceback that has the place."""
        placed = (raised for raised in self.chain if raised.place(folder) is not None)
        return next(placed, self.root).tail(folder)


def failure_of(error: BaseException) -> Failure:
    """The root cause of an exception.

    An exception raised `from` another has that one as its cause. One that was raised while another
    was handled, without `from`, is a cause of its own: the other is only mentioned.
    """
    chain = list(_chain(error))[:MAX_CAUSES]
    index = 0
    while chain[index].meant and index + 1 < len(chain):
        index += 1
    root = chain[index]
    summary = root.summary
    if index:
        summary += f", which led to {chain[0].summary}"
    if index + 1 < len(chain):
        summary += f", while handling {chain[index + 1].summary}"
    return Failure(root, summary[: 2 * MAX_SUMMARY], tuple(reversed(chain[: index + 1])))


def _chain(error: BaseException) -> Iterator[Raised]:
    """The exception, what it was raised from, and so on."""
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        inner = current.__cause__
        if inner is None and not current.__suppress_context__:
            inner = current.__context__
        # A KeyError shows its argument's repr; torch's own wrapper of one does not.
        wrapped = _WRAPPED.match(_text(current))
        if wrapped:
            yield from _parsed(wrapped[1])
        else:
            yield _raised(current, meant=current.__cause__ is not None)
        current = inner


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (the author's __str__ may raise anything)
        return ""


def _raised(error: BaseException, *, meant: bool) -> Raised:
    extracted = traceback.extract_tb(error.__traceback__)
    frames = [(frame.filename, frame.lineno or 0, frame.name) for frame in extracted]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno or 0, "<module>"))
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__, chain=False))
    lines = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()
    # A SyntaxError shows its source line first; others the exception first, and notes after it.
    line = lines[-1 if isinstance(error, SyntaxError) else 0] if lines else type(error).__name__
    return Raised(type(error).__name__, line[:MAX_SUMMARY], tuple(frames), text, meant)


def _parsed(text: str) -> Iterator[Raised]:
    """The exceptions of a printed traceback, the last one raised first."""
    parts = re.split(f"({re.escape(_CAUSE)}|{re.escape(_CONTEXT)})", text)
    blocks, joints = parts[0::2], parts[1::2]
    for number, block in reversed(list(enumerate(blocks))):
        meant = number > 0 and joints[number - 1] == _CAUSE
        found = list(_FRAME.finditer(block))
        frames = tuple((f["file"], int(f["line"]), f["function"] or "<module>") for f in found)
        tail = block[found[-1].end() :] if found else block
        lines = [line for line in tail.splitlines() if line and not line.startswith(" ")]
        summary = (lines or [block.strip()[-MAX_SUMMARY:]])[0]
        kind = summary.partition(":")[0].rpartition(".")[2]
        yield Raised(kind, summary[:MAX_SUMMARY], frames, block, meant)

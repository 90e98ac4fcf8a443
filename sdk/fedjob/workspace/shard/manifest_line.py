"""One line of manifest.ndjson: a JSON object with `id`, `uri`, `y` and an optional `meta`.

`y` is a class number, a list of the classes present, a float (regression) or a list of floats
(CONTRACT rows 17 to 20). Validation and training both read lines here, so that what passes the one
is read the same way by the other.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from fedjob.errors import Fault
from fedjob.workspace.shard.uri import UriRefusedError, local_path

MAX_LINE = 1 << 20
"""Bytes; longer lines are refused, so that memory stays bounded."""
MAX_LABEL = 999_999
"""The spec's largest number of classes, less one."""

ONE_OBJECT = "write one JSON object a line: " + '{"id": "a1", "uri": "images/a1.png", "y": 3}'
_MEANT = {
    "id": ("ID", "Id", "name", "sample_id", "image_id"),
    "uri": ("URI", "url", "path", "file", "filename", "file_name", "image", "image_path"),
    "y": ("Y", "label", "labels", "target", "targets", "class", "classes"),
}


LabelStyle = Literal["class", "classes", "number", "numbers"]
"""How `y` is written: `3`, `[0, 3]`, `2.5` or `[0.1, 2.5]`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a manifest.

    Attributes:
        id: The sample's name.
        uri: As written.
        path: Its normalised path in the shard; None for an https address.
        y: The class, or the classes present, without duplicates, ascending; may be empty when
            multi. Empty where `y` holds floats.
        multi: `y` was written as a list.
        line: Line number from 1.
        meta: Whatever the line carries along.
        targets: The floats of `y`, finite, as written; empty where `y` holds classes.
        one_hot: `y` could also be a one-hot vector: [1, 0], [0, 1], or floats of which one is 1.0
            and the others are 0.0. Only the whole manifest can decide.
        descending: `y` was written [1, 0], as hardly anybody writes a list of classes.
    """

    id: str
    uri: str
    path: str | None
    y: tuple[int, ...]
    multi: bool
    line: int
    meta: Any = None
    targets: tuple[float, ...] = ()
    one_hot: bool = False
    descending: bool = False

    @property
    def style(self) -> LabelStyle:
        """How `y` is written."""
        if self.targets:
            return "numbers" if self.multi else "number"
        return "classes" if self.multi else "class"


def line_fault(where: str, line: int, problem: str, fix: str) -> Fault:
    """A fault of one line of the manifest `where`."""
    return Fault(f"{where} line {line}", problem, fix)


def parse_lines(lines: Iterable[bytes], where: str) -> Iterator[Sample | list[Fault]]:
    """Each line as a sample, or as its faults; blank lines are left out, a byte order mark too."""
    for number, line in enumerate(lines, start=1):
        raw = line
        if number == 1:
            if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                yield [line_fault(where, 1, "the file is UTF-16", "save it as UTF-8")]
                return
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if len(raw.rstrip(b"\r\n")) > MAX_LINE:
            yield [
                line_fault(
                    where, number, "is longer than 1 MiB", "keep large data in files of its own"
                )
            ]
            continue
        raw = raw.strip()
        if raw:
            yield parse_line(raw, where, number)


def parse_line(raw: bytes, where: str, number: int) -> Sample | list[Fault]:
    """One line as a sample, or as its faults.

    Args:
        raw: UTF-8 JSON without a byte order mark; white space around it does not matter.
        where: The manifest, for messages, such as `shard-1.zip: manifest.ndjson`.
        number: The line's number from 1, for messages and `Sample.line`.
    """
    try:
        value = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return [
            line_fault(where, number, f"is not UTF-8 (byte {error.start + 1})", "save it as UTF-8")
        ]
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} at column {error.colno}"
        return [line_fault(where, number, problem, ONE_OBJECT)]
    except (ValueError, RecursionError) as error:
        return [line_fault(where, number, f"is not usable JSON: {error}", ONE_OBJECT)]
    if not isinstance(value, dict):
        return [line_fault(where, number, f"is {_kind(value)}, not an object", ONE_OBJECT)]
    faults: list[Fault] = []

    def refuse(problem: str, fix: str) -> None:
        faults.append(line_fault(where, number, problem, fix))

    for name, others in _MEANT.items():
        if name not in value:
            meant = next(
                (f"rename `{other}` to `{name}`" for other in others if other in value), None
            )
            refuse(f"has no `{name}`", meant or f"add `{name}`")
    name = _id(value["id"], refuse) if "id" in value else ""
    path = _uri(value["uri"], refuse) if "uri" in value else None
    y = value.get("y")
    multi = isinstance(y, list)
    given = y if isinstance(y, list) else [y]
    labels: tuple[int, ...] = ()
    targets: tuple[float, ...] = ()
    if "y" in value and any(isinstance(item, float) for item in given):
        targets = _targets(given, refuse)
    elif "y" in value:
        labels = _labels(given, refuse)
    if faults:
        return faults
    return Sample(
        id=name,
        uri=value["uri"],
        path=path,
        y=labels,
        multi=multi,
        line=number,
        meta=value.get("meta"),
        targets=targets,
        one_hot=multi and _is_one_hot(given),
        descending=given == [1, 0],
    )


_Refuse = Callable[[str, str], None]


def _id(value: Any, refuse: _Refuse) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value.strip() and len(value) <= 1024:
        if value.isprintable():
            return value
        refuse("id holds a character that cannot be shown", "use letters, digits, `-`, `_`, `.`")
        return ""
    refuse(f"id is {_kind(value)}", "write a text of 1 to 1024 characters")
    return ""


def _uri(value: Any, refuse: _Refuse) -> str | None:
    if not isinstance(value, str):
        refuse(f"uri is {_kind(value)}", "write the file's path in the shard, as text")
        return None
    try:
        return local_path(value)
    except UriRefusedError as error:
        refuse(f"uri {error.problem}", error.fix)
        return None


def _labels(given: list[Any], refuse: _Refuse) -> tuple[int, ...]:
    """The classes, each once, ascending. A bool is an int in Python, but not a class."""
    for item in given:
        if isinstance(item, bool) or not isinstance(item, int):
            refuse(
                f"y has {_kind(item)} {json.dumps(item)[:80]}",
                "write the class number from 0, or a list of class numbers",
            )
            return ()
        if item < 0:
            refuse(f"y has the negative label {str(item)[:40]}", "number the classes from 0")
            return ()
        if item > MAX_LABEL:
            refuse(
                f"y has the label {str(item)[:40]}",
                f"number the classes from 0 to at most {MAX_LABEL}",
            )
            return ()
    classes = tuple(sorted(set(given)))
    if len(classes) < len(given):
        refuse(*_repetition(given))
        return ()
    return classes


def _repetition(given: list[int]) -> tuple[str, str]:
    """A list of classes names each once; one of 0 and 1 with repetitions is a one-hot vector."""
    if set(given) <= {0, 1}:
        present = [index for index, value in enumerate(given) if value]
        kind = "one-hot" if len(present) == 1 else "multi-hot"
        return (
            f"y {_shown(given)} looks like a {kind} vector",
            f'write the class numbers instead: "y": {_shown(present)}',
        )
    once = sorted(set(given))
    return f"y {_shown(given)} names a class twice", f'write each once: "y": {_shown(once)}'


def _targets(given: list[Any], refuse: _Refuse) -> tuple[float, ...]:
    """The numbers to predict, finite; whole numbers may stand among floats of a list."""
    numbers = []
    for item in given:
        if isinstance(item, bool) or not isinstance(item, int | float):
            refuse(
                f"y has {_kind(item)} {json.dumps(item)[:80]} among numbers",
                "write numbers only",
            )
            return ()
        try:
            number = float(item)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            refuse(f"y has {str(item)[:40]}, which is not finite", "write a finite number")
            return ()
        numbers.append(number)
    return tuple(numbers)


def _is_one_hot(given: list[Any]) -> bool:
    if len(given) < 2:
        return False
    if len(given) > 2 and not isinstance(given[0], float):
        return False
    return given.count(1) == 1 and given.count(0) == len(given) - 1


def _shown(values: list[int]) -> str:
    text = json.dumps(values)
    return text if len(text) <= 80 else f"{text[:76]}...]"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a text" if value else "an empty text"
    names = {int: "a number", float: "a fraction", list: "a list", dict: "an object"}
    return names[type(value)]

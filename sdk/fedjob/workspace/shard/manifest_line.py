"""One line of manifest.ndjson: a JSON object with `id`, `uri`, `y` and an optional `meta`.

`y` is an int, or the list of the labels present (CONTRACT rows 17 to 20).
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a manifest.

    Attributes:
        id: The sample's name.
        uri: As written.
        path: Its normalised path in the shard; None for an https address.
        y: The label, or the labels present, without duplicates, ascending; may be empty when multi.
        multi: `y` was written as a list.
        line: Line number from 1.
        meta: Whatever the line carries along.
    """

    id: str
    uri: str
    path: str | None
    y: tuple[int, ...]
    multi: bool
    line: int
    meta: Any = None


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
            yield _line(raw, where, number)


def _line(raw: bytes, where: str, number: int) -> Sample | list[Fault]:
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
    labels = _labels(value["y"], refuse) if "y" in value else ()
    if faults:
        return faults
    multi = isinstance(value["y"], list)
    return Sample(name, value["uri"], path, labels, multi, number, value.get("meta"))


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


def _labels(value: Any, refuse: _Refuse) -> tuple[int, ...]:
    """The labels, each once, ascending. A bool is an int in Python, but no label."""
    given = value if isinstance(value, list) else [value]
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
    return tuple(sorted(set(given)))


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a text" if value else "an empty text"
    names = {int: "a number", float: "a fraction", list: "a list", dict: "an object"}
    return names[type(value)]

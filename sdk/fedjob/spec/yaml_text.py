"""YAML text to plain data and back, with what a job file must not hold refused.

PyYAML's parser gives the events; the tree is built here, because its constructor keeps the last of two
equal keys, reads `1e-3` as text (Kubernetes reads a number) and follows aliases without a bound. Scalars
are read as Kubernetes reads them: YAML 1.1 booleans, YAML 1.2 numbers, no dates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from fedjob.errors import Fault, InvalidInputError
from fedjob.spec.reader import Path

MAX_BYTES = 1024 * 1024
"""Of a job file: the API server takes no larger object."""
MAX_DEPTH = 32
MAX_VALUES = 50_000
"""Values in a file, with aliases written out."""

_BOOLEANS = {
    word: value
    for value, words in ((True, ("true", "yes", "on")), (False, ("false", "no", "off")))
    for plain in words
    for word in (plain, plain.capitalize(), plain.upper())
}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,38})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_HEXADECIMAL = re.compile(r"[-+]?0x[0-9a-fA-F]{1,32}")
_OCTAL = re.compile(r"[-+]?0o?[0-7]{1,40}")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

Place = tuple[int, int]
"""Line and column, from 1."""


@dataclass(slots=True)
class Document:
    """What one file holds.

    Attributes:
        data: Mappings, lists, text, numbers, booleans, None.
        places: Line and column, from 1, of each value by its path.
    """

    data: Any
    places: dict[Path, Place] = field(default_factory=dict)


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a plain (unquoted) scalar."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _OCTAL.fullmatch(text):
        return int(text.replace("o", ""), 8)
    if _FLOAT.fullmatch(text):
        return float(text)
    if special := _SPECIAL.fullmatch(text):
        return float("nan") if special[3] else float(f"{special[1]}inf")
    return text


def load_yaml(text: str, source: str) -> Document:
    """The one document in `text`.

    Args:
        text: YAML; JSON is YAML too.
        source: What to call it in faults, such as `job.yaml`.

    Raises:
        InvalidInputError: On a syntax error, over 1 MiB, several documents, duplicate keys, keys that
            are not text, tags, aliases that grow beyond 50,000 values or nesting beyond 32 levels.
    """
    size = len(text.encode("utf-8", errors="surrogatepass"))
    if size > MAX_BYTES:
        raise InvalidInputError(
            [
                Fault(
                    source,
                    f"is {size} bytes; a Kubernetes object may have {MAX_BYTES}",
                    "put the model's file into a ConfigMap (source.configMapRef) or S3 (source.uri)",
                )
            ]
        )
    try:
        return _Builder(yaml.parse(text, Loader=yaml.SafeLoader), source).document()
    except yaml.YAMLError as error:
        raise InvalidInputError([_syntax_fault(error, source)]) from error


def dump_yaml(data: object) -> str:
    """YAML in the order of the data, without aliases, that `load_yaml` and kubectl read as the same."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif not isinstance(resolve(text), str):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


class _Builder:
    """Builds one document from parser events; faults that allow to go on are collected."""

    def __init__(self, events: Iterator[yaml.Event], source: str) -> None:
        self._events = events
        self._source = source
        self._faults: list[Fault] = []
        self._places: dict[Path, Place] = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._values = 0

    def document(self) -> Document:
        roots: list[tuple[Any, dict[Path, Place]]] = []
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._places, self._anchors = {}, {}
                root = self._value(next(self._events), ())
                if root is not None:
                    roots.append((root, self._places))
        if len(roots) > 1:
            self._faults.append(
                Fault(
                    self._source,
                    f"holds {len(roots)} documents",
                    "keep one FederatedJob in a file, without `---` after it",
                )
            )
        if self._faults:
            raise InvalidInputError(self._faults)
        return Document(*roots[0]) if roots else Document(None)

    def _value(self, event: yaml.Event, path: Path) -> Any:
        line = event.start_mark.line + 1
        self._places[path] = _place(event)
        self._values += 1
        if self._values > MAX_VALUES or len(path) > MAX_DEPTH:
            self._stop(
                line, "holds too many values" if self._values > MAX_VALUES else "nests too deep"
            )
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, line)
        before = self._values
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path)
        else:
            value = self._mapping(path)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._values - before + 1)
        return value

    def _alias(self, event: yaml.AliasEvent, line: int) -> Any:
        if event.anchor not in self._anchors:
            self._stop(line, f"names `*{event.anchor}` before `&{event.anchor}` is complete")
        value, size = self._anchors[event.anchor]
        self._values += size
        return value

    def _stop(self, line: int, problem: str) -> None:
        fix = f"write at most {MAX_VALUES} values, {MAX_DEPTH} levels deep, and each anchor before its use"
        raise InvalidInputError([*self._faults, Fault(f"{self._source} line {line}", problem, fix)])

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> Any:
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            self._faults.append(
                Fault(
                    dotted(path),
                    f"has the tag `{event.tag}`",
                    "write the plain value, without a tag",
                )
            )
        return resolve(event.value) if event.implicit[0] and event.tag is None else event.value

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path)
            first = self._places.get((*path, key))
            value = self._value(next(self._events), (*path, key))
            if first is not None:
                self._faults.append(
                    Fault(
                        dotted((*path, key)),
                        f"is written twice, on lines {first[0]} and {_place(event)[0]}",
                        "keep one of the two",
                    )
                )
            self._places[(*path, key)] = _place(event)
            items[key] = value
        return items

    def _key(self, event: yaml.Event, path: Path) -> str:
        key = self._value(event, (*path, "?"))
        line = event.start_mark.line + 1
        if key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
            problem, fix = "uses the merge key `<<`", "write the fields out"
        elif isinstance(key, str):
            return key
        elif isinstance(event, yaml.ScalarEvent):
            problem = f"has the key `{event.value}`, which YAML reads as no text"
            fix = f'write `"{event.value}":`, in quotes'
        else:
            problem, fix = "has a key that is no text", "write a name before the `:`"
        self._faults.append(Fault(f"{self._source} line {line}", problem, fix))
        return f"line {line}"


def _place(event: yaml.Event) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def dotted(path: Path) -> str:
    """`("spec", "shards", "items", 2, "name")` as `spec.shards.items[2].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _syntax_fault(error: yaml.YAMLError, source: str) -> Fault:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        problem = error.problem or "is no YAML"
        where = f"{source} line {mark.line + 1}, column {mark.column + 1}"
        return Fault(where, problem, _syntax_fix(problem))
    if isinstance(error, yaml.reader.ReaderError):
        character = error.character
        code = character if isinstance(character, int) else ord(character)
        return Fault(
            source, f"holds the control character U+{code:04X}", "save it as plain UTF-8 text"
        )
    return Fault(source, "is no YAML", "indent by spaces and write `name: value`")


def _syntax_fix(problem: str) -> str:
    if "\\t" in problem:
        return "indent with spaces; YAML takes no tabs"
    if "mapping values are not allowed" in problem:
        return "put a value that holds `: ` in quotes, and give fields of one section the same indentation"
    if "alias" in problem:
        return (
            "define the anchor with `&name` before, or put a value that begins with `*` in quotes"
        )
    if "%" in problem or "cannot start any token" in problem:
        return "put a value that begins with a special character in quotes"
    return "check the indentation, the quotes and the brackets from there upwards"

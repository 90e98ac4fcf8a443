"""YAML text to plain data, with what a job file must not hold refused.

PyYAML's parser gives the events; the tree is built here, because its constructor keeps the last of
two equal keys, reads `1e-3` as text (Kubernetes reads a number) and follows aliases unbounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from fedjob.errors import Fault, InvalidInputError
from fedjob.spec.validation.reader import Path
from fedjob.spec.yaml_scalars import resolve
from fedjob.spec.yaml_syntax import syntax_fault

MAX_BYTES = 1024 * 1024
"""Of a job file: the API server takes no larger object."""
MAX_DEPTH = 32
MAX_VALUES = 20_000
"""Values in a file, with aliases written out."""

Place = tuple[int, int]
"""Line and column, from 1."""


@dataclass(slots=True)
class Document:
    """What one file holds.

    Attributes:
        data: Mappings, lists, text, numbers, booleans, None.
        places: Line and column of each value by its path.
    """

    data: Any
    places: dict[Path, Place] = field(default_factory=dict)


def load_yaml(text: str, source: str) -> Document:
    """The one document in `text`.

    Args:
        text: YAML; JSON is YAML too.
        source: What to call it in faults, such as `job.yaml`.

    Raises:
        InvalidInputError: On a syntax error, over 1 MiB, several documents, duplicate keys, keys
            that are not text, tags, over 20,000 values (aliases written out) or 32 levels.
    """
    size = len(text.encode("utf-8", errors="surrogatepass"))
    if size > MAX_BYTES:
        problem = f"is {size} bytes; a Kubernetes object may have {MAX_BYTES}"
        fix = "put the model's file into a ConfigMap (source.configMapRef) or S3 (source.uri)"
        raise InvalidInputError([Fault(source, problem, fix)])
    try:
        return _Builder(yaml.parse(text, Loader=yaml.SafeLoader), source).document()
    except yaml.YAMLError as error:
        raise InvalidInputError([syntax_fault(error, source)]) from error


def dotted(path: Path) -> str:
    """`("spec", "shards", "items", 2, "name")` as `spec.shards.items[2].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


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
        documents: list[Document] = []
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._places, self._anchors = {}, {}
                root = self._value(next(self._events), ())
                if root is not None:
                    documents.append(Document(root, self._places))
        if len(documents) > 1:
            problem = f"holds {len(documents)} documents"
            fix = "keep one FederatedJob in a file, without `---` after it"
            self._faults.append(Fault(self._source, problem, fix))
        if self._faults:
            raise InvalidInputError(self._faults)
        return documents[0] if documents else Document(None)

    def _value(self, event: yaml.Event, path: Path) -> Any:
        self._places[path] = _place(event)
        if len(path) > MAX_DEPTH:
            self._stop(event, "nests too deep", f"nest at most {MAX_DEPTH} levels")
        before = self._values
        self._count(event, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path)
        else:
            value = self._mapping(path)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._anchors[event.anchor] = (value, self._values - before)
        return value

    def _count(self, event: yaml.Event, values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            self._stop(event, "holds too many values", f"write at most {MAX_VALUES}")

    def _stop(self, event: yaml.Event, problem: str, fix: str) -> NoReturn:
        where = f"{self._source} line {_place(event)[0]}"
        raise InvalidInputError([*self._faults, Fault(where, problem, fix)])

    def _alias(self, event: yaml.AliasEvent) -> Any:
        name = str(event.anchor)
        if name not in self._anchors:
            fix = f"write `&{name}` at a value before, or put text that begins with `*` in quotes"
            self._stop(event, f"`*{name}` names no value that is complete before it", fix)
        value, size = self._anchors[name]
        self._count(event, size)
        return value

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> Any:
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            problem, fix = f"has the tag `{event.tag}`", "write the plain value, without a tag"
            self._faults.append(Fault(dotted(path), problem, fix))
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
            child = (*path, key)
            first = self._places.get(child)
            value = self._value(next(self._events), child)
            self._places[child] = _place(event)
            if first is not None:
                problem = f"is written twice, on lines {first[0]} and {_place(event)[0]}"
                self._faults.append(Fault(dotted(child), problem, "keep one of the two"))
            items[key] = value
        return items

    def _key(self, event: yaml.Event, path: Path) -> str:
        key = self._value(event, (*path, "?"))
        if key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
            problem, fix = "uses the merge key `<<`", "write the fields out"
        elif isinstance(key, str):
            return key
        elif isinstance(event, yaml.ScalarEvent):
            problem = f"has the key `{event.value}`, which YAML does not read as text"
            fix = f'write `"{event.value}":`, in quotes'
        else:
            problem, fix = "has a key that is no text", "write a name before the `:`"
        line, column = _place(event)
        self._faults.append(Fault(f"{self._source} line {line}", problem, fix))
        return f"line {line}, column {column}"


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)

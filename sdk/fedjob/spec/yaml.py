"""Job files: YAML to plain data exactly as kubectl reads it, and back.

kubectl reads YAML with sigs.k8s.io/yaml (go-yaml v2, YAML 1.1) and sends JSON. PyYAML composes the
nodes; scalars are resolved here by go-yaml's rules, since PyYAML reads `1e-3` as text and `12:30`
as a number. What one of the two refuses, or spells a value in a way that most readers take for
text, is refused with a fix. tests/unit/spec/test_yaml_kubectl.py compares the two readers.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

import yaml

from fedjob.errors import Fault, InvalidInputError

MAX_BYTES = 1024 * 1024
"""Of a job file: the API server takes no larger object."""
MAX_DEPTH = 32
MAX_VALUES = 20_000
"""Values in a file, with aliases written out."""

Path = tuple[str | int, ...]
"""Names and indices from the root of a document to a value."""
Place = tuple[int, int]
"""Line and column, from 1."""
Scalar = str | int | float | bool | None

_TEXT_TAG = "tag:yaml.org,2002:str"
_BOOLEANS = {
    spelling: value
    for value, names in (
        (True, ("y", "true", "yes", "on")),
        (False, ("n", "false", "no", "off")),
    )
    for name in names
    for spelling in (name, name.capitalize(), name.upper())
}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER = re.compile(
    r"0b(?P<signed>[-+][01]+)|(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<binary>[01]+)|0[oO]?(?P<octal>[0-7]+)"
    r"|(?P<decimal>0|[1-9][0-9]*))"
)
_BASES = {"signed": 2, "hex": 16, "binary": 2, "octal": 8, "decimal": 10}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SURPRISING = re.compile(r"[yYnN]|[-+]?[0-9.].*_.*|[-+]_.*|[-+]?0[bBXO].*")
"""Booleans and numbers that YAML 1.2, and most people, take for text."""
_JOINED_COLON = re.compile(r"\s*:[],[{}]")
"""Within brackets: the colon after a key, with a bracket or comma right behind it."""
_TAB_INDENT = re.compile(r"(?:[&!]\S*\s+)*[|>][-+]?[ \t]*(?:#.*)?(?:[\r\n\x85\u2028\u2029] *)+\t")
"""A block of text whose indentation is detected, with a tab in it before the first text."""
_BREAKS = frozenset("\x85\u2028\u2029")


@dataclass(slots=True)
class Document:
    """The content of one file.

    Attributes:
        data: Mappings, lists, text, numbers, booleans, None.
        places: Line and column of each value by its path.
    """

    data: Any
    places: dict[Path, Place] = field(default_factory=dict)


def load_yaml(text: str, source: str) -> Document:
    """Reads the one document in `text`.

    Args:
        text: YAML; JSON is YAML too.
        source: What to call it in faults, such as `job.yaml`.

    Raises:
        InvalidInputError: On a syntax error, over 1 MiB, several documents, duplicate keys, keys
            that are not text, tags, scalars that kubectl reads otherwise than most people, over
            20,000 values (aliases written out) or 32 levels.
    """
    size = len(text.encode("utf-8", errors="surrogatepass"))
    if size > MAX_BYTES:
        problem = f"is {size} bytes; a Kubernetes object may have {MAX_BYTES}"
        fix = "put the model's file into a ConfigMap (source.configMapRef) or S3 (source.uri)"
        raise InvalidInputError([Fault(source, problem, fix)])
    if "\ufeff" in text[1:]:
        fix = "save it as plain UTF-8 text, without byte order marks"
        raise InvalidInputError([Fault(source, "holds the character U+FEFF", fix)])
    faults: list[Fault] = []
    documents: list[Document] = []
    try:
        loader = _Loader(text, source)
        while (root := loader.next_root()) is not None:
            document = _Builder(text, source, loader.tags, faults).document(root)
            if document.data is not None:
                documents.append(document)
    except yaml.YAMLError as error:
        raise InvalidInputError([*faults, syntax_fault(error, source)]) from error
    if len(documents) > 1:
        problem = f"holds {len(documents)} documents"
        fix = "keep one FederatedJob in a file, without `---` after it"
        faults.append(Fault(source, problem, fix))
    if faults:
        raise InvalidInputError(faults)
    return documents[0] if documents else Document(None)


def dump_yaml(data: object) -> str:
    """YAML in the order of the data, without aliases; kubectl and `load_yaml` read it alike."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def dotted(path: Path) -> str:
    """`("spec", "shards", "items", 2, "name")` as `spec.shards.items[2].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def resolve(text: str) -> Scalar:
    """The value that kubectl sends for a plain (unquoted) scalar.

    JSON does not distinguish 2.0 from 2, so whole numbers are integers where they fit 64 bits.
    Infinity and NaN, which kubectl refuses, are floats here: the models refuse them by field.
    """
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if special := _NOT_FINITE.fullmatch(text):
        return math.nan if special[3] else float(f"{special[1]}inf")
    # go-yaml drops `_` from what begins with a sign or a digit; after a `.`, between digits alone.
    digits = re.sub(r"(?<=\d)_(?=\d)", "", text) if text[0] in "._" else text.replace("_", "")
    if match := _INTEGER.fullmatch(digits):
        base, given = next((base, match[name]) for name, base in _BASES.items() if match[name])
        number = int(f"{match['sign'] or ''}{given}", base)
        if _fits(number):
            return number
        if digits.isalnum() and number < 2**64:
            return float(number)
    if _FLOAT.fullmatch(digits) and math.isfinite(float(digits)):
        return _as_sent(float(digits))
    return text


def syntax_fault(error: yaml.YAMLError, source: str) -> Fault:
    """The fault of a file that PyYAML cannot parse.

    Args:
        error: As PyYAML raised it.
        source: What to call the file.
    """
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line, column = _place(error.problem_mark)
        problem = error.problem or "is not YAML"
        return Fault(f"{source} line {line}, column {column}", problem, _syntax_fix(problem))
    if isinstance(error, yaml.reader.ReaderError):
        character = error.character
        code = character if isinstance(character, int) else ord(character)
        return Fault(source, f"holds the character U+{code:04X}", "save it as plain UTF-8 text")
    return Fault(source, "is not YAML", "indent by spaces and write `name: value`")


def _syntax_fix(problem: str) -> str:
    if "\\t" in problem:
        return "indent with spaces; YAML takes no tabs"
    if "mapping values are not allowed" in problem:
        return "put text that holds `: ` in quotes, and indent the fields of a section equally"
    if "cannot start any token" in problem:
        return "put text that begins with a special character in quotes"
    return "check the indentation, the quotes and the brackets from there upwards"


def _fits(number: int) -> bool:
    return -(2**63) <= number < 2**63


def _as_sent(number: float) -> int | float:
    """A number as the API server reads it from JSON, where Go writes 2.0 as 2."""
    if not number.is_integer() or abs(number) >= 1e21:
        return number
    # Go writes the shortest digits that give the float again, as repr does.
    whole = int(Decimal(repr(number)))
    return whole if _fits(whole) else number


class _Loader(yaml.SafeLoader):
    """Composes nodes within the limits; their explicit tags are kept in `tags`, by node id."""

    def __init__(self, text: str, source: str) -> None:
        super().__init__(text)
        self._source = source
        self._values = 0
        self._depth = -1
        self._deepest = 0
        self._sizes: dict[str, tuple[int, int]] = {}
        self.tags: dict[int, str] = {}

    def next_root(self) -> yaml.Node | None:
        """The root node of the next document; None at the end."""
        self._sizes, self.tags = {}, {}
        return self.get_node() if self.check_node() else None

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, str(anchor), parent, index)
        if anchor is not None:
            # go-yaml takes the last anchor of a name, PyYAML refuses a second one.
            self._sizes.pop(anchor, None)
        self._depth += 1
        outer, self._deepest = self._deepest, self._depth
        before = self._values
        self._count(event, 1, 0)
        node = super().compose_node(parent, index)
        if event.tag is not None:
            self.tags[id(node)] = event.tag
        if anchor is not None:
            self._sizes[anchor] = (self._values - before, self._deepest - self._depth)
        self._depth -= 1
        self._deepest = max(outer, self._deepest)
        return node

    def _alias(
        self, event: yaml.AliasEvent, name: str, parent: yaml.Node | None, index: Any
    ) -> yaml.Node | None:
        if name not in self._sizes:
            fix = f"write `&{name}` at a value before, or put text that begins with `*` in quotes"
            self._stop(event, f"`*{name}` names no value that is complete before it", fix)
        values, height = self._sizes[name]
        self._count(event, values + 1, height + 1)
        return super().compose_node(parent, index)

    def _count(self, event: yaml.Event, values: int, height: int) -> None:
        self._values += values
        self._deepest = max(self._deepest, self._depth + height)
        if self._values > MAX_VALUES:
            self._stop(event, "holds too many values", f"write at most {MAX_VALUES}")
        if self._deepest > MAX_DEPTH:
            self._stop(event, "nests too deep", f"nest at most {MAX_DEPTH} levels")

    def _stop(self, event: yaml.Event, problem: str, fix: str) -> NoReturn:
        where = f"{self._source} line {_place(event.start_mark)[0]}"
        raise InvalidInputError([Fault(where, problem, fix)])


class _Builder:
    """Builds a document's data from its nodes, and collects the faults of single values."""

    def __init__(self, text: str, source: str, tags: dict[int, str], faults: list[Fault]) -> None:
        self._text = text
        self._source = source
        self._tags = tags
        self._faults = faults
        self._places: dict[Path, Place] = {}

    def document(self, root: yaml.Node) -> Document:
        return Document(self._value(root, ()), self._places)

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._places[path] = _place(node.start_mark)
        tag = self._tags.get(id(node))
        if tag is not None and not (tag == _TEXT_TAG and isinstance(node, yaml.ScalarNode)):
            self._fault(path, f"has the tag `{tag}`", "write the plain value, without a tag")
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return self._scalar(node, path)

    def _scalar(self, node: Any, path: Path) -> Scalar:
        text = str(node.value)
        plain = node.style is None and id(node) not in self._tags
        value = resolve(text) if plain else text
        if not isinstance(value, str) and _SURPRISING.fullmatch(text):
            read = str(value).lower()
            fix = f"write `{read}`, or put it in quotes if it is text"
            self._fault(path, f"is `{text}`, which kubectl reads as {read}", fix)
        elif node.style in ("|", ">") and _TAB_INDENT.match(self._text, node.start_mark.index):
            fix = "indent with spaces, or write how deep the block is indented: `|2`"
            self._fault(path, "begins with a tab, which kubectl refuses", fix)
        elif isinstance(value, str) and any("\ud800" <= each <= "\udfff" for each in value):
            fix = "write the character itself, or its whole code `\\U...`"
            self._fault(path, "holds half of a surrogate pair", fix)
        return value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        items: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            child = (*path, key)
            place, first = _place(key_node.start_mark), self._places.get(child)
            value = self._value(value_node, child)
            self._places[child] = place
            if first is not None:
                problem = f"is written twice, on lines {first[0]} and {place[0]}"
                self._fault(child, problem, "keep one of the two")
            items[key] = value
        return items

    def _key(self, node: yaml.Node, path: Path) -> str:
        line, column = _place(node.start_mark)
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        if not isinstance(node, yaml.ScalarNode):
            problem, fix = "has a key that is not text", "write a name before the `:`"
        elif plain and node.value == "<<":
            problem, fix = "uses the merge key `<<`", "write the fields out"
        elif plain and _JOINED_COLON.match(self._text, node.end_mark.index):
            # PyYAML ends the key here, go-yaml takes the colon for a part of it.
            problem = f"has a `:` after `{node.value}` that may be a part of the text"
            fix = "write a blank after the colon, or put the text in quotes"
        elif plain and not isinstance(resolve(node.value), str) and id(node) not in self._tags:
            problem = f"has the key `{node.value}`, which YAML does not read as text"
            fix = f'write `"{node.value}":`, in quotes'
        else:
            return str(self._value(node, (*path, "?")))
        self._faults.append(Fault(f"{self._source} line {line}", problem, fix))
        return f"line {line}, column {column}"

    def _fault(self, path: Path, problem: str, fix: str) -> None:
        self._faults.append(Fault(dotted(path) or self._source, problem, fix))


def _place(mark: Any) -> Place:
    return (mark.line + 1, mark.column + 1)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if _BREAKS & set(text):
        # YAML folds these line breaks of Unicode like newlines, and reads NEL back as one.
        style = '"'
    elif "\n" in text:
        style = "|"
    elif not isinstance(resolve(text), str):
        style = '"'
    return dumper.represent_scalar(_TEXT_TAG, text, style=style)


_Dumper.add_representer(str, _represent_text)

"""manifest.ndjson, read line by line: a million lines need no more memory than ten."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from fedjob.errors import Fault, InvalidInputError
from fedjob.reasons import Reason
from fedjob.workspace.shard.manifest_line import (
    MAX_LINE,
    ONE_OBJECT,
    LabelStyle,
    Sample,
    line_fault,
    parse_line,
    parse_lines,
)
from fedjob.workspace.shard.unicode_names import normal_form

MAX_FAULTS = 20
MAX_HISTOGRAM = 1000
MAX_REMEMBERED_IDS = 100_000
"""Ids compared for duplicates: a manifest's first so many, about 10 MB of hashes. Later ids are
compared with those, not with each other: remembering all would not be constant memory."""

STYLE_NAMES: Mapping[LabelStyle, str] = {
    "class": "a class number",
    "classes": "a list of classes",
    "number": "a float",
    "numbers": "a list of floats",
}
ONE_STYLE = "write class numbers everywhere, or floats everywhere (3.0, not 3)"

__all__ = [
    "ONE_STYLE",
    "STYLE_NAMES",
    "InvalidManifestError",
    "LabelStyle",
    "ManifestSummary",
    "Sample",
    "iter_manifest",
    "parse_line",
    "read_lines",
    "scan_manifest",
]


class InvalidManifestError(InvalidInputError):
    """A manifest has lines that cannot be used."""

    reason = Reason.MANIFEST_INVALID


@dataclass(frozen=True, slots=True)
class ManifestSummary:
    """What is known of one manifest after reading it once.

    Attributes:
        where: The manifest, such as `shard-1.zip: manifest.ndjson`.
        samples: Lines with a sample.
        max_label: The largest label; -1 when every list is empty.
        max_label_line: The first line that has it; 0 when there is none.
        max_label_id: That line's id.
        multi_label: Some line writes its labels as a list: then all are read as multi-label.
        https_uris: Samples to be downloaded.
        labels: Label to how many samples have it, for the first `MAX_HISTOGRAM` labels seen.
        other_labels: Occurrences of labels that the histogram has no room for.
        targets: Floats in each `y` of a regression; 0 where `y` holds classes.
        styles: How `y` is written: style to the first line that writes it so.
        first_path: The first sample's file in the shard; empty where none has one.
    """

    where: str
    samples: int
    max_label: int
    max_label_line: int
    max_label_id: str
    multi_label: bool
    https_uris: int
    labels: Mapping[int, int]
    other_labels: int = 0
    targets: int = 0
    styles: Mapping[LabelStyle, int] = field(default_factory=dict)
    first_path: str = ""


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """The file's lines; of one longer than `MAX_LINE` only the beginning, which is then refused."""
    while line := file.readline(MAX_LINE + 2):
        yield line
        while len(line) > MAX_LINE + 1 and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE + 2)


def iter_manifest(lines: Iterable[bytes], where: str) -> Iterator[Sample]:
    """The samples of a manifest, in constant memory.

    Args:
        lines: Its lines, with or without their line ends; see `read_lines`.
        where: What messages call it.

    Raises:
        InvalidManifestError: At the first line that cannot be used, when the iteration reaches it.
    """
    for item in parse_lines(lines, where):
        if isinstance(item, Sample):
            yield item
        else:
            raise InvalidManifestError(item)


def scan_manifest(
    lines: Iterable[bytes], where: str, *, known_files: Collection[str] | None = None
) -> ManifestSummary:
    """Reads a whole manifest once and checks it, in constant memory.

    Args:
        lines: Its lines, with or without their line ends; see `read_lines`.
        where: What messages call it, such as `shard-1.zip: manifest.ndjson`.
        known_files: The files of the shard; every path must be among them. None: not checked.

    Raises:
        InvalidManifestError: The first `MAX_FAULTS` faults, and how many more there are.
    """
    scan = _Scan(where, known_files)
    for item in parse_lines(lines, where):
        if isinstance(item, Sample):
            scan.add(item)
        else:
            scan.refuse(item)
    return scan.summary()


class _Scan:
    """Sums a manifest up, sample by sample."""

    def __init__(self, where: str, known_files: Collection[str] | None) -> None:
        self._where = where
        self._files = None if known_files is None else _Files(known_files)
        self._samples = self._https_uris = self._other_labels = self._one_hot = 0
        self._max_label, self._max_label_line, self._max_label_id = -1, 0, ""
        self._multi_label = False
        self._targets = 0
        self._first_one_hot = 0
        self._first_path = ""
        self._labels: dict[int, int] = {}
        self._styles: dict[LabelStyle, int] = {}
        self._first_lines: dict[int, int] = {}
        self._faults: list[Fault] = []
        self._dropped = 0

    def add(self, sample: Sample) -> None:
        self._samples += 1
        self._multi_label = self._multi_label or sample.multi
        self._add_labels(sample)
        self._first_path = self._first_path or sample.path or ""
        if sample.path is None:
            self._https_uris += 1
        elif self._files is not None and not self._files.has(sample.path):
            self.refuse([self._files.fault(self._where, sample)])
        self._compare_id(sample)

    def _add_labels(self, sample: Sample) -> None:
        style = sample.style
        if style not in self._styles:
            self._styles[style] = sample.line
            self._compare_styles(sample)
        elif sample.targets and len(sample.targets) != self._targets:
            problem = f"y has {len(sample.targets)} numbers, and earlier lines {self._targets}"
            fix = "write as many numbers in every line"
            self.refuse([line_fault(self._where, sample.line, problem, fix)])
        if sample.one_hot:
            self._one_hot += 1
            # Class numbers are usually written ascending: [1, 0] is what tells a vector.
            if not self._first_one_hot and (sample.targets or sample.descending):
                self._first_one_hot = sample.line
        for label in sample.y:
            if label in self._labels or len(self._labels) < MAX_HISTOGRAM:
                self._labels[label] = self._labels.get(label, 0) + 1
            else:
                self._other_labels += 1
            if label > self._max_label:
                self._max_label, self._max_label_line = label, sample.line
                self._max_label_id = sample.id

    def _compare_styles(self, sample: Sample) -> None:
        """Classes and numbers do not mix, nor do single numbers and lists of them."""
        if sample.targets and not self._targets:
            self._targets = len(sample.targets)
        others = {style: line for style, line in self._styles.items() if style != sample.style}
        if sample.targets:
            other = next(iter(others), None)
        else:
            other = next((style for style in others if style.startswith("number")), None)
        if other is None:
            return
        problem = (
            f"y is {STYLE_NAMES[sample.style]}, and on line {others[other]} {STYLE_NAMES[other]}"
        )
        self.refuse([line_fault(self._where, sample.line, problem, ONE_STYLE)])

    def _compare_id(self, sample: Sample) -> None:
        # 64 bits of SipHash with a new key in each process: two of 100,000 ids collide by chance
        # once in four billion manifests, and nobody can construct a collision.
        digest = hash(sample.id)
        first = self._first_lines.get(digest)
        if first is not None:
            problem = f"id {sample.id[:80]!r} is already on line {first}"
            fix = "give each line its own id"
            self.refuse([line_fault(self._where, sample.line, problem, fix)])
        elif len(self._first_lines) < MAX_REMEMBERED_IDS:
            self._first_lines[digest] = sample.line

    def refuse(self, faults: list[Fault]) -> None:
        room = MAX_FAULTS - len(self._faults)
        self._faults += faults[:room]
        self._dropped += max(0, len(faults) - room)

    def summary(self) -> ManifestSummary:
        if not self._faults:
            self.refuse(self._one_hot_faults())
        if self._dropped:
            more = Fault(self._where, f"and {self._dropped} more faults", "correct these first")
            self._faults.append(more)
        elif not self._faults and not self._samples:
            self._faults.append(Fault(self._where, "holds no sample", ONE_OBJECT))
        if self._faults:
            raise InvalidManifestError(self._faults)
        return ManifestSummary(
            where=self._where,
            samples=self._samples,
            max_label=self._max_label,
            max_label_line=self._max_label_line,
            max_label_id=self._max_label_id,
            multi_label=self._multi_label,
            https_uris=self._https_uris,
            labels=dict(sorted(self._labels.items())),
            other_labels=self._other_labels,
            targets=self._targets,
            styles=dict(self._styles),
            first_path=self._first_path,
        )

    def _one_hot_faults(self) -> list[Fault]:
        """Every `y` reads as a one-hot vector, so it is one: no list of classes looks like that."""
        if not self._first_one_hot or self._one_hot < self._samples:
            return []
        problem = "every y looks like a one-hot vector"
        fix = 'write the class number instead: "y": 1 for [0, 1]'
        return [line_fault(self._where, self._first_one_hot, problem, fix)]


class _Files:
    """The files of a shard, compared without regard to their Unicode normal form."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        # Most shards have ASCII names only: then there is nothing to normalise.
        self._normal = {normal_form(name) for name in names if not name.isascii()}
        self._by_case: dict[str, str] = {}

    def has(self, path: str) -> bool:
        return path in self._names or (bool(self._normal) and normal_form(path) in self._normal)

    def fault(self, where: str, sample: Sample) -> Fault:
        problem = f"uri {sample.uri[:200]!r} is not in the shard"
        fix = "add the file, or correct the path (it starts at the ZIP's root)"
        if not self._by_case:
            self._by_case = {normal_form(name).casefold(): name for name in self._names}
        near = self._by_case.get(normal_form(sample.path or "").casefold())
        if near is not None:
            problem += f", which has {near[:200]!r}"
            fix = "write the name as the shard has it: capitals count"
        return line_fault(where, sample.line, problem, fix)

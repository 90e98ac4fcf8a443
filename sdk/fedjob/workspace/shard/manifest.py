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
    Sample,
    line_fault,
    parse_lines,
)

MAX_FAULTS = 20
MAX_HISTOGRAM = 1000
MAX_REMEMBERED_IDS = 100_000
"""Ids compared for duplicates: a manifest's first so many, about 10 MB of hashes. Later ids are
compared with those, not with each other: remembering all would not be constant memory."""


__all__ = [
    "InvalidManifestError",
    "ManifestSummary",
    "Sample",
    "iter_manifest",
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


@dataclass(slots=True)
class _Scan:
    where: str
    known_files: Collection[str] | None
    samples: int = 0
    max_label: int = -1
    max_label_line: int = 0
    max_label_id: str = ""
    multi_label: bool = False
    https_uris: int = 0
    other_labels: int = 0
    labels: dict[int, int] = field(default_factory=dict)
    first_lines: dict[int, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    dropped: int = 0

    def add(self, sample: Sample) -> None:
        self.samples += 1
        self.multi_label = self.multi_label or sample.multi
        for label in sample.y:
            if label in self.labels or len(self.labels) < MAX_HISTOGRAM:
                self.labels[label] = self.labels.get(label, 0) + 1
            else:
                self.other_labels += 1
            if label > self.max_label:
                self.max_label, self.max_label_line = label, sample.line
                self.max_label_id = sample.id
        if sample.path is None:
            self.https_uris += 1
        elif self.known_files is not None and sample.path not in self.known_files:
            problem = f"uri {sample.uri[:200]!r} is not in the shard"
            fix = "add the file, or correct the path (it starts at the ZIP's root)"
            self.refuse([line_fault(self.where, sample.line, problem, fix)])
        self._compare_id(sample)

    def _compare_id(self, sample: Sample) -> None:
        # 64 bits of SipHash, keyed anew in each process: two of 100,000 ids collide by chance once
        # in four billion manifests, and nobody can make them.
        digest = hash(sample.id)
        first = self.first_lines.get(digest)
        if first is not None:
            problem = f"id {sample.id[:80]!r} is already on line {first}"
            self.refuse([line_fault(self.where, sample.line, problem, "give each line its own id")])
        elif len(self.first_lines) < MAX_REMEMBERED_IDS:
            self.first_lines[digest] = sample.line

    def refuse(self, faults: list[Fault]) -> None:
        room = MAX_FAULTS - len(self.faults)
        self.faults += faults[:room]
        self.dropped += max(0, len(faults) - room)

    def summary(self) -> ManifestSummary:
        if self.dropped:
            more = Fault(self.where, f"and {self.dropped} more faults", "correct these first")
            self.faults.append(more)
        elif not self.faults and not self.samples:
            self.faults.append(Fault(self.where, "holds no sample", ONE_OBJECT))
        if self.faults:
            raise InvalidManifestError(self.faults)
        return ManifestSummary(
            where=self.where,
            samples=self.samples,
            max_label=self.max_label,
            max_label_line=self.max_label_line,
            max_label_id=self.max_label_id,
            multi_label=self.multi_label,
            https_uris=self.https_uris,
            labels=dict(sorted(self.labels.items())),
            other_labels=self.other_labels,
        )

"""A shard's manifest as a torch Dataset: images and multi-hot labels, indexed by byte offset."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from fedjob_runtime.training.data.images import open_image
from fedjob_runtime.training.data.pixels import to_tensor
from fedjob_runtime.training.errors import DatasetInvalidError, ImageError

_LINE = 'a line is {"id": "a1", "uri": "images/a1.png", "y": 3}, or "y": [0, 3] for several labels'


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a manifest.

    Attributes:
        id: The sample.
        uri: Its image: a path in the shard, file:// or https://.
        labels: The classes it has.
        single: Whether `y` is one int, not a list.
    """

    id: str
    uri: str
    labels: tuple[int, ...]
    single: bool


class ManifestDataset(Dataset[tuple[Tensor, Tensor]]):
    """(image, labels) by line: float32 [3, S, S] in [0, 1] and multi-hot float32 [C].

    A million lines take 8 MB: only their byte offsets are kept. Every line is checked once, at the
    start; images are opened as they are asked for.

    Args:
        data_root: The shard's folder.
        manifest_file: The manifest's name in it.
        num_classes: C, above every label.
        img_size: S, pixels.

    Attributes:
        single_label: Every line has exactly one label, as an int.

    Raises:
        DatasetInvalidError: No manifest, no lines, or a line that is wrong, with its number and id.
            From `[i]` also for an image that cannot be had, with id and uri.
    """

    def __init__(
        self, data_root: Path | str, manifest_file: str, num_classes: int, img_size: int
    ) -> None:
        self._root = Path(data_root).resolve()
        self._path = self._root / manifest_file
        if num_classes < 1:
            raise DatasetInvalidError(
                f"num_classes is {num_classes}",
                "set spec.training.numClasses, or leave it out to infer it over all shards",
            )
        self._classes = num_classes
        self._size = img_size
        index = _index_of(self._path)
        self._offsets = index.offsets
        self.single_label = index.single_label
        if index.max_label >= num_classes:
            raise DatasetInvalidError(
                f"{manifest_file} line {index.max_line}: label {index.max_label} is not below "
                f"num_classes {num_classes}",
                f"set spec.training.numClasses to at least {index.max_label + 1}, or correct y",
            )

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        line = self.line(index)
        try:
            image = to_tensor(open_image(line.uri, self._root), self._size)
        except ImageError as error:
            raise type(error)(
                f"sample {line.id!r} (uri {line.uri!r}): {error.problem}", error.fix
            ) from error
        labels = torch.zeros(self._classes)
        labels[list(line.labels)] = 1.0
        return image, labels

    def line(self, index: int) -> Line:
        """The index-th line; opened anew, so that DataLoader workers share no file position."""
        with self._path.open("rb") as file:
            file.seek(self._offsets[index])
            return parse_line(file.readline(), f"{self._path.name} sample {index}")


def count_lines(path: Path) -> int:
    """Samples in a manifest; 0 where there is no such file."""
    if not path.is_file():
        return 0
    return sum(1 for _ in _lines(path))


def parse_line(text: bytes, where: str) -> Line:
    """Reads one line of a manifest.

    Args:
        text: JSON.
        where: File and line, for the error.

    Raises:
        DatasetInvalidError: It is not what CONTRACT row 17 says.
    """
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetInvalidError(f"{where} is not JSON: {error}", _LINE) from error
    if not isinstance(value, dict):
        raise DatasetInvalidError(f"{where} is a {type(value).__name__}, not an object", _LINE)
    missing = [name for name in ("id", "uri", "y") if name not in value]
    if missing:
        raise DatasetInvalidError(f"{where} has no {', '.join(missing)}", _LINE)
    uri, y = value["uri"], value["y"]
    labels = y if isinstance(y, list) else [y]
    if not isinstance(uri, str) or not uri:
        raise DatasetInvalidError(f"{where}: uri is {uri!r}"[:300], _LINE)
    if not all(type(label) is int and label >= 0 for label in labels):
        raise DatasetInvalidError(f"{where}: y is {y!r}"[:300] + ", not classes from 0", _LINE)
    return Line(str(value["id"]), uri, tuple(labels), not isinstance(y, list))


@dataclass(frozen=True, slots=True)
class _Index:
    offsets: array[int]
    single_label: bool
    max_label: int
    max_line: int


def _index_of(path: Path) -> _Index:
    try:
        facts = path.stat()
    except OSError as error:
        raise DatasetInvalidError(
            f"FileNotFoundError: {path.name} is not in {path.parent}",
            "put it at the root of the shard ZIP, or set spec.training.manifestFile",
        ) from error
    return _read_index(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4)
def _read_index(path: Path, size: int, modified: int) -> _Index:
    """Reads it once a process, not once a round: size and time tell whether it changed."""
    offsets = array("Q")
    single = True
    max_label, max_line = -1, 0
    for offset, number, text in _lines(path):
        line = parse_line(text, f"{path.name} line {number}")
        offsets.append(offset)
        single = single and line.single
        highest = max(line.labels, default=-1)
        if highest > max_label:
            max_label, max_line = highest, number
    if not offsets:
        raise DatasetInvalidError(f"{path.name} has no lines", _LINE)
    return _Index(offsets, single, max_label, max_line)


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(byte offset, line number from 1, text) of every line that is not blank."""
    offset = 0
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            start = offset
            offset += len(text)
            if number == 1 and text.startswith(b"\xef\xbb\xbf"):
                start, text = start + 3, text[3:]  # a byte order mark, as Windows editors write
            if text.strip():
                yield start, number, text

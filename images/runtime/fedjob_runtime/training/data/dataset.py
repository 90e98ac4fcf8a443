"""A shard's manifest as a torch Dataset: images and labels, indexed by byte offset."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from fedjob.workspace.shard.manifest import ONE_STYLE, read_lines
from fedjob.workspace.shard.manifest_line import ONE_OBJECT, Sample, parse_lines
from fedjob_runtime.training.data.images import open_image
from fedjob_runtime.training.data.pixels import to_tensor
from fedjob_runtime.training.data.shard_files import elsewhere
from fedjob_runtime.training.errors import DatasetInvalidError, ImageError


class ManifestDataset(Dataset[tuple[Tensor, Tensor]]):
    """(image, labels) by line: float32 [3, S, S] in [0, 1] and multi-hot float32 [C].

    Where `y` holds floats, the labels are these, float32 [T]: targets of a regression.

    A million lines take 8 MB: only their byte offsets are kept. Every line is checked once, at the
    start; images are opened as they are asked for.

    Args:
        data_root: The shard's folder.
        manifest_file: The manifest's name in it.
        num_classes: C, above every label; not used for a regression. None: one more than the
            largest label, at least 1.
        img_size: S, pixels.

    Attributes:
        single_label: Every line has exactly one label, as an int.
        regression: `y` holds floats.

    Raises:
        DatasetInvalidError: No manifest, no lines, or a line that is wrong, with its number and id.
            From `[i]` also for an image that cannot be had, with id and uri.
    """

    def __init__(
        self, data_root: Path | str, manifest_file: str, num_classes: int | None, img_size: int
    ) -> None:
        self._root = Path(data_root).resolve()
        self._path = self._root / manifest_file
        self._size = img_size
        index = _index_of(self._path)
        self._offsets = index.offsets
        self.single_label = index.single_label
        self.regression = index.targets > 0
        if num_classes is None:
            num_classes = max(index.max_label + 1, 1)
        self._classes = num_classes
        if self.regression:
            return
        if num_classes < 1:
            raise DatasetInvalidError(
                f"num_classes is {num_classes}",
                "set spec.training.numClasses, or leave it out to infer it over all shards",
            )
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
        if line.targets:
            return image, torch.tensor(line.targets, dtype=torch.float32)
        labels = torch.zeros(self._classes)
        labels[list(line.y)] = 1.0
        return image, labels

    def line(self, index: int) -> Sample:
        """The index-th line. Opens the file each time: DataLoader workers share no position."""
        with self._path.open("rb") as file:
            file.seek(self._offsets[index])
            return next(_samples([file.readline()], f"{self._path.name} sample {index}"))


def count_lines(path: Path) -> int:
    """Samples in a manifest; 0 where there is no such file."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(1 for _ in _samples(read_lines(file), path.name))


@dataclass(frozen=True, slots=True)
class _Index:
    offsets: array[int]
    single_label: bool
    max_label: int
    max_line: int
    targets: int


def _index_of(path: Path) -> _Index:
    try:
        facts = path.stat()
    except OSError as error:
        found = elsewhere(path.parent, path.name)
        where = f"the shard has it at {found}" if found else "the shard has none"
        raise DatasetInvalidError(
            f"FileNotFoundError: {path.name}: {where}; it must be at the root of the shard's ZIP",
            "zip the folder's contents, not the folder; or set spec.training.manifestFile",
        ) from error
    return _read_index(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4)
def _read_index(path: Path, size: int, modified: int) -> _Index:
    """Reads the manifest once a process, not once a round; a change has another size or time."""
    offsets = array("Q")
    single = True
    targets: int | None = None
    max_label, max_line = -1, 0
    with path.open("rb") as file:
        positions = _Positions(read_lines(file))
        for sample in _samples(positions, path.name):
            offsets.append(positions.start)
            if targets not in (None, len(sample.targets)):
                raise DatasetInvalidError(
                    f"{path.name} line {sample.line}: y has {len(sample.targets) or 'no'} floats, "
                    f"and the lines before have {targets or 'none'}",
                    ONE_STYLE,
                )
            targets = len(sample.targets)
            single = single and not sample.multi
            highest = max(sample.y, default=-1)
            if highest > max_label:
                max_label, max_line = highest, sample.line
    if not offsets:
        raise DatasetInvalidError(f"{path.name} has no lines", ONE_OBJECT)
    return _Index(offsets, single and not targets, max_label, max_line, targets or 0)


class _Positions:
    """Passes lines on and knows the byte offset at which the last one starts."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._next = 0
        self.start = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self.start, self._next = self._next, self._next + len(line)
            yield line


def _samples(lines: Iterable[bytes], where: str) -> Iterator[Sample]:
    """The samples of manifest lines, parsed as `fedjob validate` and the operator parse them."""
    for item in parse_lines(lines, where):
        if not isinstance(item, Sample):
            problems = "; ".join(fault.problem for fault in item)
            raise DatasetInvalidError(f"{item[0].field}: {problems}", item[0].fix)
        yield item

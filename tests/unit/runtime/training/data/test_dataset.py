"""A shard as a Dataset, and evaluation over it (CONTRACT rows 17, 18, 20, 23)."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from fedjob_runtime.training.data.dataset import ManifestDataset, count_lines
from fedjob_runtime.training.errors import (
    DatasetInvalidError,
    ImageInvalidError,
    ImageUnavailableError,
)
from support.training_run import write_labelled


def test_images_and_labels_have_the_promised_shapes_types_and_range(tmp_path: Path) -> None:
    write_labelled(tmp_path, [0, 2, 1])
    dataset = ManifestDataset(tmp_path, "manifest.ndjson", 4, 8)
    assert len(dataset) == 3
    assert dataset.single_label
    image, labels = dataset[1]
    assert (image.dtype, image.shape) == (torch.float32, (3, 8, 8))
    assert torch.allclose(image[0], torch.tensor(40 / 255))
    assert float(image[1].max()) == 0
    assert (labels.dtype, labels.tolist()) == (torch.float32, [0, 0, 1, 0])


@pytest.mark.parametrize(
    ("labels", "single", "hot"),
    [
        ([[0, 2], [1]], False, [1, 0, 1]),
        ([[], [1]], False, [0, 0, 0]),
        ([2, [1]], False, [0, 0, 1]),
        ([1, 0], True, [0, 1, 0]),
    ],
)
def test_multi_label_and_single_label(
    tmp_path: Path, labels: list[Any], single: bool, hot: list[int]
) -> None:
    """Row 20: single-label is where every y is an int."""
    write_labelled(tmp_path, labels)
    dataset = ManifestDataset(tmp_path, "manifest.ndjson", 3, 4)
    assert dataset.single_label is single
    assert dataset[0][1].tolist() == hot


@pytest.mark.parametrize("text", ["\ufeff{}\n\n{}\n", "{}\r\n\r\n{}", "  {}\n{}\n   \n"])
def test_blank_lines_line_ends_and_a_byte_order_mark(tmp_path: Path, text: str) -> None:
    """Row 23: the manifest may have another name."""
    write_labelled(tmp_path, [0, 1])
    lines = (tmp_path / "manifest.ndjson").read_text().split("\n")
    content = text.format(*lines[:2])
    (tmp_path / "other.jsonl").write_text(content, encoding="utf-8", newline="")
    dataset = ManifestDataset(tmp_path, "other.jsonl", 2, 4)
    assert [dataset.line(i).id for i in range(len(dataset))] == ["s0", "s1"]
    assert dataset.line(-1).id == "s1"
    assert count_lines(tmp_path / "other.jsonl") == 2
    with pytest.raises(IndexError):
        dataset[2]


def test_a_manifest_that_changes_is_read_again(tmp_path: Path) -> None:
    write_labelled(tmp_path, [0, 1])
    assert len(ManifestDataset(tmp_path, "manifest.ndjson", 2, 4)) == 2
    write_labelled(tmp_path, [0, 1, 1])
    assert len(ManifestDataset(tmp_path, "manifest.ndjson", 2, 4)) == 3


def test_lines_are_not_held_in_memory(tmp_path: Path) -> None:
    """5,000 lines of 300 bytes are 1.5 MB; their index takes 8 bytes each."""
    line = json.dumps({"id": "x", "uri": "u" * 250, "y": 1}) + "\n"
    (tmp_path / "manifest.ndjson").write_text(line * 5000)
    tracemalloc.start()
    dataset = ManifestDataset(tmp_path, "manifest.ndjson", 2, 4)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(dataset) == 5000
    assert held < 100_000
    assert peak < 400_000


def test_data_loader_workers_can_share_it(tmp_path: Path) -> None:
    write_labelled(tmp_path, [0, 1, 0, 1])
    dataset = pickle.loads(pickle.dumps(ManifestDataset(tmp_path, "manifest.ndjson", 2, 4)))  # noqa: S301
    loader = DataLoader(dataset, batch_size=2, num_workers=2)
    assert [labels.argmax(1).tolist() for _, labels in loader] == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "line 2: is not"),
        ("[" * 100000, "line 2: is not"),
        ("3", "line 2: is a number, not an object"),
        ('{"id": 1, "uri": "a"}', "line 2: has no `y`"),
        ('{"uri": "a"}', "line 2: has no `id`; has no `y`"),
        ('{"id": 1, "uri": 5, "y": 0}', "line 2: uri is a number"),
        ('{"id": 1, "uri": "", "y": 0}', "line 2: uri is empty"),
        ('{"id": 1, "uri": "a", "y": -1}', "line 2: y has the negative label -1"),
        ('{"id": 1, "uri": "a", "y": true}', "line 2: y has a boolean true"),
        (
            '{"id": 1, "uri": "a", "y": 1.0}',
            "line 2: y has 1 floats, and the lines before",
        ),
        ('{"id": 1, "uri": "a", "y": "cat"}', "line 2: y has a text"),
        ('{"id": 1, "uri": "a", "y": [0, null]}', "line 2: y has null"),
        ('{"id": 1, "uri": "a", "y": [0, 0]}', "line 2: y"),
        ('{"id": 1, "uri": "a", "y": 5}', "line 2: label 5 is not below num_classes 2"),
        ("\udcff", "line 2: is not"),
    ],
)
def test_a_bad_line_is_named_by_number(tmp_path: Path, line: str, expected: str) -> None:
    good = '{"id": 0, "uri": "0.png", "y": 0}'
    (tmp_path / "manifest.ndjson").write_text(f"{good}\n{line}\n", errors="surrogateescape")
    with pytest.raises(DatasetInvalidError) as caught:
        ManifestDataset(tmp_path, "manifest.ndjson", 2, 4)
    assert expected in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("content", "classes", "expected"),
    [
        (None, 2, "FileNotFoundError: manifest.ndjson"),
        ("", 2, "no lines"),
        ("\n\n", 2, "no lines"),
        ('{"id": 0, "uri": "0.png", "y": 0}', 0, "num_classes is 0"),
    ],
)
def test_no_manifest_no_lines_no_classes(
    tmp_path: Path, content: str | None, classes: int, expected: str
) -> None:
    if content is not None:
        (tmp_path / "manifest.ndjson").write_text(content)
    with pytest.raises(DatasetInvalidError, match=expected):
        ManifestDataset(tmp_path, "manifest.ndjson", classes, 4)


def test_an_image_that_cannot_be_had_names_id_and_uri(tmp_path: Path) -> None:
    write_labelled(tmp_path, [0, 1])
    (tmp_path / "1.png").write_bytes(b"no image")
    dataset = ManifestDataset(tmp_path, "manifest.ndjson", 2, 4)
    with pytest.raises(ImageInvalidError, match=r"sample 's1' \(uri '1\.png'\): .*not an image"):
        dataset[1]
    (tmp_path / "1.png").unlink()
    with pytest.raises(ImageUnavailableError, match=r"'s1'.*not in the shard"):
        dataset[1]

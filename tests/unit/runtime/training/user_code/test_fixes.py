"""The fix fits the case."""

from __future__ import annotations

import argparse
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.user_code.fixes import fix_of
from fedjob_runtime.training.user_code.traceback_text import failure_of


def name_error() -> None:
    np.zeros(3)  # type: ignore[name-defined] # noqa: F821


def missing_module() -> None:
    import absent_module_of_mine  # type: ignore[import-not-found] # noqa: F401


def command_line() -> None:
    argparse.ArgumentParser().parse_args(["--unknown"])


def leaves() -> None:
    raise SystemExit(3)


def batch_norm() -> None:
    nn.BatchNorm1d(2)(torch.zeros(1, 2))


def lazy() -> None:
    nn.LazyLinear(2).weight + 1  # type: ignore[unused-ignore]


def hub() -> None:
    raise urllib.error.URLError("[Errno -3] Temporary failure in name resolution")


def transformers() -> None:
    raise OSError("We couldn't connect to 'https://huggingface.co' to load the files")


def other() -> None:
    raise ValueError("x")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (name_error, "import numpy as np"),
        (missing_module, "if absent_module_of_mine.py is a file of your own, ship it beside"),
        (command_line, '`if __name__ == "__main__":`'),
        (leaves, "return a dict"),
        (batch_norm, "drop_last=True"),
        (lazy, "nn.Linear(128, 10) for nn.LazyLinear(10)"),
        (hub, "cannot reach that host"),
        (transformers, "cannot reach that host"),
        (other, "correct it there"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_fix_by_kind(call: Callable[[], None], expected: str) -> None:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 (SystemExit too)
        call()
    assert expected in fix_of(failure_of(caught.value).root)


@pytest.mark.parametrize(
    ("files", "asked", "expected"),
    [
        (["data/manifest.ndjson"], "manifest.ndjson", "a.zip has it at data/manifest.ndjson; it"),
        ([], "manifest.ndjson", "a.zip has no manifest.ndjson; it must be at the root of a.zip"),
        (["x/Table.csv"], "table.csv", "a.zip has it at x/Table.csv: correct the path"),
        ([], "table.csv", "Relative paths start at the shard's folder"),
    ],
)
def test_row_27_a_file_that_the_author_opens_is_looked_for_in_the_shard(
    tmp_path: Path, files: list[str], asked: str, expected: str
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
    context = TrainingContext("worker-0", "job", 0, tmp_path, shard_name="a.zip")
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / asked).open()
    assert expected in fix_of(failure_of(caught.value).root, context)

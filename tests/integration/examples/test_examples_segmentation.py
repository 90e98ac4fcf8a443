"""examples/segmentation: a U-Net with its own Dataset; shards are images and masks, no manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.examples import metric_by_round, run_example

pytestmark = pytest.mark.federation


def test_segmentation_example_finds_cells_of_every_site(tmp_path: Path) -> None:
    rounds = run_example("segmentation", tmp_path)
    assert [line["samples"] for line in rounds] == [60 + 40 + 30] * 3
    assert metric_by_round(rounds, "val_dice")[-1] >= 0.88

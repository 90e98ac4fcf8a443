"""examples/tabular: an MLP with its own preprocessing file and data file, on unequal clinics."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.examples import metric_by_round, run_example

pytestmark = pytest.mark.federation


def test_tabular_example_finds_malignant_cases(tmp_path: Path) -> None:
    rounds = run_example("tabular", tmp_path)
    assert [line["samples"] for line in rounds] == [220 + 140 + 89] * 5
    assert metric_by_round(rounds, "val_accuracy")[-1] >= 0.93
    assert metric_by_round(rounds, "val_sensitivity")[-1] >= 0.90

"""examples/notebook: the model file is a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.examples import EXAMPLES, metric_by_round, run_example

pytestmark = pytest.mark.federation


def test_notebook_example_is_taken_as_the_model_file(tmp_path: Path) -> None:
    rounds = run_example("notebook", tmp_path, model=EXAMPLES / "notebook/wine.ipynb")
    assert [line["samples"] for line in rounds] == [60 + 50 + 28] * 5
    assert metric_by_round(rounds, "val_accuracy")[-1] >= 0.92

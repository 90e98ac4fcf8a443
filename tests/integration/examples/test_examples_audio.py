"""examples/audio: form A on spectrograms, with a package beside model_def.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.examples import metric_by_round, run_example

pytestmark = pytest.mark.federation


def test_audio_example_tells_instruments_apart(tmp_path: Path) -> None:
    rounds = run_example("audio", tmp_path)
    assert [line["samples"] for line in rounds] == [80 + 60 + 50] * 4
    assert metric_by_round(rounds, "val_accuracy")[-1] >= 0.90

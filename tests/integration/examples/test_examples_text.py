"""examples/text: a small transformer on prose, with a tokenizer and an alphabet beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.examples import metric_by_round, run_example

pytestmark = pytest.mark.federation


def test_text_example_learns_prose_that_no_worker_had(tmp_path: Path) -> None:
    bits = metric_by_round(run_example("text", tmp_path), "val_bits_per_character")
    assert len(bits) == 4
    # A guess by the frequencies of single characters takes about 4.3 bits.
    assert bits[-1] <= 3.8
    assert bits[-1] < bits[0]

"""examples/lora: adapters on a frozen transformer; answers hold the adapters only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from support.examples import EXAMPLES, metric_by_round, run_example

pytestmark = pytest.mark.federation

SAVE = """
import sys
from safetensors.torch import save_file
from model_def import FaultModel
save_file(FaultModel().state_dict(), sys.argv[1])
"""


def test_lora_example_trains_adapters_and_leaves_the_base_as_it_was(tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    command = [sys.executable, "-c", SAVE, str(first)]
    subprocess.run(command, check=True, cwd=EXAMPLES / "lora/model")
    rounds = run_example("lora", tmp_path, "--checkpoint", str(first))
    assert metric_by_round(rounds, "val_accuracy")[-1] >= 0.90
    before, after = load_file(first), load_file(tmp_path / "out/model.safetensors")
    assert before.keys() == after.keys()
    trained = {name for name in before if not torch.equal(before[name], after[name])}
    assert trained == {name for name in before if "lora_" in name or name.startswith("head.")}

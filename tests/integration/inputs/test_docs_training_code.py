"""docs/how-to/training-code.md: every block of it is run as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
import yaml

from fedjob.preparation.prepare import prepare_text
from fedjob.preparation.prepared import LocalFiles
from support.field_shards import write_shard
from support.repository import ROOT
from support.runtime.one_process import Outcome, run_in_one_process

PAGE = (ROOT / "docs/how-to/training-code.md").read_text()
ROWS = "".join(f"{n},1,{n % 3},0.5,{n % 2}\n" for n in range(10)).encode()


def blocks() -> dict[str, tuple[str, dict[str, Any]]]:
    """Heading to (model file, sections of the spec)."""
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
        spec = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
        if code:
            found[section.splitlines()[0]] = (code[0], yaml.safe_load(spec[0]))
    return found


BLOCKS = blocks()


def run(heading: str, folder: Path) -> Outcome:
    """Runs the block with two workers."""
    code, spec = BLOCKS[heading]
    for name in ("a.zip", "b.zip"):
        write_shard(folder / "shards" / name, [], {"rows.csv": ROWS})
    spec["model"] = {**spec["model"], "source": {"inline": code}}
    spec["federation"] = {"numRounds": 1, "minClients": 2, **spec.get("federation", {})}
    job = {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "page"},
        "spec": {**spec, "workers": {"gpu": 0}},
    }
    prepared = prepare_text(json.dumps(job), "job.yaml", LocalFiles(folder))
    done = run_in_one_process(prepared, folder / "run")
    assert done.outcome == "complete", (done.error, done.failed, done.log)
    assert [line["failures"] for line in done.rounds] == [[]] * len(done.rounds)
    return done


def test_each_block_has_a_test() -> None:
    here = Path(__file__).read_text()
    assert [heading for heading in BLOCKS if f'run("{heading}"' not in here] == []


def test_a_partial_with_a_dataclass_is_a_model(tmp_path: Path) -> None:
    weights = run("What className may name", tmp_path).weights
    assert weights["0.weight"].shape == (16, 4)
    assert "6.weight" in weights, "depth 2"


def test_first_answers_make_a_model(tmp_path: Path) -> None:
    weights = run("No model at all", tmp_path).weights
    assert torch.equal(weights["slope"], torch.ones(3))


def test_a_part_leaves_the_rest(tmp_path: Path) -> None:
    done = run("Adapters, heads: a part of the model", tmp_path)
    before, after = done.initial_weights, done.weights
    assert torch.equal(before["base.weight"], after["base.weight"])
    assert torch.allclose(before["head.weight"] + 1, after["head.weight"])


def test_a_difference_is_added(tmp_path: Path) -> None:
    done = run("A difference", tmp_path)
    before, after = done.initial_weights, done.weights
    assert torch.allclose(before["line.weight"] + 0.25, after["line.weight"])


def test_extra_state_travels(tmp_path: Path) -> None:
    assert run("State beside the tensors", tmp_path).metrics == [{"seen": 10.0}, {"seen": 20.0}]


def test_numbers_of_other_libraries_are_taken(tmp_path: Path) -> None:
    done = run("Numbers as other libraries give them", tmp_path)
    assert done.metrics == [{"loss": 0.5, "f1": 0.25}]
    assert done.weights["steps"].item() == 3
    assert [line["participants"][0]["samples"] for line in done.rounds] == [10]


def test_optimizer_state_stays_on_the_worker(tmp_path: Path) -> None:
    done = run("DataLoader workers, and files that stay", tmp_path)
    assert done.metrics == [{"steps": 2.0}, {"steps": 4.0}]

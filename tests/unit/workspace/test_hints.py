"""Probable mistakes that do not stop a job; `fedjob validate` and the operator show the same."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from fedjob.spec.models.job import FederatedJob
from fedjob.workspace.hints import job_hints, missing_module
from fedjob.workspace.shard.archive import ShardInfo, inspect_shard
from fedjob.workspace.source.model_file import check_source

NET = "import torch\nfrom torch import nn\nclass Net(nn.Module):\n    norm = nn.BatchNorm2d(3)\n"
OWN = NET + "def fl_train(model, env, out_dir):\n    return {}\n"


def shard(name: str, samples: int, uri: str = "0.png") -> ShardInfo:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        rows = [{"id": f"s{number}", "uri": uri, "y": 1} for number in range(samples)]
        archive.writestr("manifest.ndjson", "\n".join(map(json.dumps, rows)))
        archive.writestr(uri, "no image")
    return inspect_shard(data, name, needs_manifest=False)


def hints(text: str, *shards: ShardInfo, **spec: Any) -> list[str]:
    sections = {"model": {"source": {"inline": text}, "className": "Net"}, **spec}
    job = FederatedJob.model_validate({"metadata": {"name": "a"}, "spec": sections})
    return job_hints(job, check_source(text, "Net"), shards)


def test_batch_norm_is_hinted_at_for_shards_that_fedjob_trains_on() -> None:
    one, two = shard("one.zip", 1), shard("two.zip", 2)
    (hint,) = hints(NET, one, two)
    assert hint.startswith("one.zip has one sample, and BatchNorm cannot train on one")
    assert hints(OWN, one, two) == []
    assert hints(NET.replace("BatchNorm2d", "GroupNorm"), one, two) == []
    held_out = {"shards": {"validation": "one.zip"}}
    assert not any("BatchNorm" in hint for hint in hints(NET, one, two, **held_out))


def test_file_that_the_built_in_evaluation_cannot_read_is_named() -> None:
    shards = shard("train.zip", 2), shard("v.zip", 2, "x.bin")
    (hint,) = hints(OWN, *shards, shards={"validation": "v.zip"})
    assert hint.startswith("v.zip: x.bin is not an image")
    assert hints(OWN, *shards) == []


def test_manifest_that_only_the_author_reads_may_be_faulty() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("manifest.ndjson", "not JSON\n")
    (hint,) = hints(OWN, inspect_shard(data, "a.zip", needs_manifest=False))
    assert hint.startswith("a.zip")
    assert hint.endswith("(only your own code reads this manifest)")


@pytest.mark.parametrize("dtype", ["complex128", "cdouble", "complex32"])
def test_dtype_that_cannot_be_saved_is_named_with_its_line(dtype: str) -> None:
    (hint,) = hints(OWN + f"WAVE = torch.ones(3, dtype=torch.{dtype})\n")
    assert hint.startswith(f"line 7: a parameter or buffer of torch.{dtype} cannot be saved")
    assert hints(OWN + "WAVE = torch.ones(3, dtype=torch.complex64)\n") == []


def test_command_line_that_is_read_at_import_is_named() -> None:
    code = "from argparse import ArgumentParser\nA = ArgumentParser().parse_args()\n"
    (hint,) = hints(OWN + code)
    assert hint.startswith("line 8: parse_args() reads the command line")


def test_missing_module_is_a_file_first_and_a_package_second() -> None:
    hint = missing_module("helpers")
    assert hint.index("ship helpers.py beside it") < hint.index("spec.model.requirements")

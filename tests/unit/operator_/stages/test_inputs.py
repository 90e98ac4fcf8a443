"""The inputs stage: source, shards and checkpoint are read, checked and rendered."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fedjob.errors import FedjobError
from fedjob.reasons import Reason
from fedjob_operator.naming import Body
from fedjob_operator.stages.inputs import LONGEST_HINT, MOST_HINTS, Inputs, read_inputs
from support.memory_bucket import MemoryStore
from support.operator.samples import a_job
from support.operator.shard_stores import shard, store_with

SOURCE = """
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return x
"""


class ConfigMaps:
    """A cluster with ConfigMaps by name."""

    def __init__(self, **objects: Body) -> None:
        self._objects = objects

    async def get(self, _version: str, _kind: str, _namespace: str, name: str) -> Body | None:
        return self._objects.get(name)


def read(store: MemoryStore, cluster: Any = None, **spec: Any) -> Inputs:
    model = {"source": {"inline": SOURCE}, "className": "Net", **spec.pop("model", {})}
    return asyncio.run(read_inputs(cluster or ConfigMaps(), a_job(model=model, **spec), store))


def refusal(store: MemoryStore, **spec: Any) -> FedjobError:
    with pytest.raises(FedjobError) as caught:
        read(store, **spec)
    return caught.value


def test_workers_follow_the_file_names_and_classes_cover_all_shards() -> None:
    """Rows 21 and 37."""
    store = store_with(b=shard(6), a=shard(1, 2), v=shard(3))
    inputs = read(store, shards={"validation": "v.zip"})
    assert [worker.name for worker in inputs.prepared.workers] == ["a.zip", "b.zip"]
    assert inputs.prepared.num_classes == 7
    assert inputs.prepared.validation == store.layout.shard("v.zip")
    assert inputs.files["app/custom/model_def.py"].decode() == SOURCE
    assert inputs.copies == {}


def test_source_is_read_from_a_config_map_or_the_store() -> None:
    store = store_with(a=shard(1))
    store.bucket("code").objects["m.py"] = SOURCE.encode()
    from_store = read(store, model={"source": {"uri": "s3://code/m.py"}})
    cluster = ConfigMaps(code={"data": {"model_def.py": SOURCE}})
    from_map = read(store, cluster, model={"source": {"configMapRef": {"name": "code"}}})
    assert from_store.files["app/custom/model_def.py"] == SOURCE.encode()
    assert from_map.files["app/custom/model_def.py"] == SOURCE.encode()


def test_missing_config_map_is_reported_with_a_command() -> None:
    error = refusal(store_with(a=shard(1)), model={"source": {"configMapRef": {"name": "code"}}})
    assert error.reason is Reason.SOURCE_INVALID
    assert "kubectl -n team create configmap code --from-file=model_def.py=" in str(error)


def test_source_that_is_not_text_is_refused() -> None:
    store = store_with(a=shard(1))
    store.bucket("code").objects["m.py"] = b"\xff"
    error = refusal(store, model={"source": {"uri": "s3://code/m.py"}})
    assert error.reason is Reason.SOURCE_INVALID
    assert "spec.model.source.uri: is not UTF-8 text" in str(error)


def test_too_few_classes_are_refused() -> None:
    error = refusal(store_with(a=shard(1, 9)), training={"numClasses": 3})
    assert error.reason is Reason.NUM_CLASSES_TOO_SMALL


def test_checkpoint_of_another_bucket_is_copied_with_its_suffix() -> None:
    store = store_with(a=shard(1))
    store.bucket("models").objects["x/first.pt"] = b"weights"
    inputs = read(store, model={"checkpoint": "s3://models/x/first.pt"})
    target = store.layout.under(store.layout.model, "checkpoint.pt")
    assert inputs.prepared.checkpoint == target
    assert inputs.copies == {target: ("models", "x/first.pt")}


def test_uploaded_checkpoint_is_the_jobs_own() -> None:
    upload = {"checkpoint": {"suffix": ".pt", "sha256": "0" * 64, "size": 4}}
    store = store_with(a=shard(1))
    inputs = read(store, model={"upload": upload})
    assert inputs.prepared.checkpoint == store.layout.checkpoint(".pt")
    assert inputs.copies == {}


def test_missing_checkpoint_is_refused() -> None:
    error = refusal(store_with(a=shard(1)), model={"checkpoint": "s3://jobs/no.pt"})
    assert error.reason is Reason.CHECKPOINT_INVALID
    assert "s3://jobs/no.pt does not exist; upload it" in str(error)


def test_hints_of_validate_are_prepared_for_the_status() -> None:
    text = "import helpers\n" + SOURCE + "    norm = nn.BatchNorm2d(1)\n"
    store = store_with(a=shard(1), b=shard(1, 2))
    prepared = read(store, model={"source": {"inline": text}}).prepared
    missing, one_sample = prepared.hints
    assert "imports helpers" in missing
    assert one_sample.startswith("a.zip has one sample")


def test_what_is_left_out_of_a_notebook_is_a_hint() -> None:
    cells = [SOURCE, "!pip install absent"]
    notebook = {"cells": [{"cell_type": "code", "source": text} for text in cells]}
    store = store_with(a=shard(1))
    store.bucket("code").objects["net.ipynb"] = json.dumps(notebook).encode()
    (hint,) = read(store, model={"source": {"uri": "s3://code/net.ipynb"}}).prepared.hints
    assert "!pip install absent" in hint


def test_hints_fit_into_the_record() -> None:
    names = {f"shard-{number:03}": shard(1) for number in range(100)}
    text = SOURCE + "    norm = nn.BatchNorm2d(1)\n"
    prepared = read(store_with(**names), model={"source": {"inline": text}}).prepared
    assert len(prepared.hints) == MOST_HINTS
    assert all(len(hint) <= LONGEST_HINT for hint in prepared.hints)

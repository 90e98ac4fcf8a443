"""The jobs of examples/ on the cluster: the same result as on a laptop, by all ways to ship files.

Each is compared with its own run on this machine, by the runtime's parts in one process (the real
runs here are in tests/integration/examples). Digits is the quick start. The cluster's torch is
another build, which rounds otherwise, and training amplifies rounding: by nothing in the MLPs, by
a third of the way from start to result in the transformer. How far two equal runs may end from
each other is therefore measured: a second run here starts from weights that differ in their last
bits.
"""

from __future__ import annotations

import io
import re
import shlex
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load

from e2e.cluster_access.operator_deployment import OperatorDeployment, is_complete
from fedjob.preparation.prepare import prepare_text
from fedjob.preparation.prepared import LocalFiles
from fedjob.protocol.result_files import MODEL
from fedjob.storage.layout import Layout
from support.examples import EXAMPLES, make_shards
from support.repository import ROOT
from support.runtime.one_process import Outcome, run_in_one_process

pytestmark = pytest.mark.e2e

ROUNDS = 2
Spec = dict[str, Any]
Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Example:
    """An example on the cluster.

    Attributes:
        ship: Puts the code where the job finds it, and returns the job's `spec.model`.
        metric: What its README promises.
        tolerance: By how much the metric may differ, since the cluster's torch is another build.
    """

    ship: Callable[[OperatorDeployment, str, Spec], Spec]
    metric: str
    tolerance: float


def by_config_map(deployment: OperatorDeployment, name: str, model: Spec) -> Spec:
    """The command that job.yaml has in its first lines."""
    text = (EXAMPLES / name / "job.yaml").read_text()
    head = "".join(line.removeprefix("#") for line in text.splitlines(True) if line[0] == "#")
    command = re.search(r"kubectl (create configmap(?:.*\\\n)*.*)", head)
    assert command is not None, head
    arguments = shlex.split(command[1].replace("\\\n", " "))
    files = [re.sub(r"=examples/", f"={ROOT}/examples/", argument) for argument in arguments]
    deployment.kubectl("-n", deployment.jobs, *files)
    return model


def by_prefix(deployment: OperatorDeployment, name: str, model: Spec) -> Spec:
    """The whole folder under a prefix, the model file among it."""
    prefix = f"jobs/{deployment.jobs}/code/{name}/"
    for path, content in code_of(name).items():
        deployment.bucket.put_bytes(f"{prefix}{path}", content)
    uri = f"s3://jobs/{prefix}"
    source = {"uri": f"{uri}model_def.py"}
    return {**model, "source": source, "files": [{"path": ".", "uri": uri}]}


def by_archive(deployment: OperatorDeployment, name: str, model: Spec) -> Spec:
    """The model file inline, and the package in a ZIP."""
    files, data = code_of(name), io.BytesIO()
    source = {"inline": files.pop("model_def.py").decode()}
    with zipfile.ZipFile(data, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    key = f"jobs/{deployment.jobs}/code/{name}.zip"
    deployment.bucket.put_bytes(key, data.getvalue())
    return {**model, "source": source, "files": [{"path": ".", "uri": f"s3://jobs/{key}"}]}


def code_of(name: str) -> dict[str, bytes]:
    """The example's files by path relative to its model file."""
    folder = EXAMPLES / name / "model"
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if "__pycache__" not in path.parts
    }


CASES = {
    "tabular": Example(by_config_map, "val_accuracy", 0.03),
    "text": Example(by_prefix, "val_bits_per_character", 0.1),
    "audio": Example(by_archive, "val_accuracy", 0.03),
    "lora": Example(by_config_map, "val_accuracy", 0.05),
    "segmentation": Example(by_config_map, "val_dice", 0.03),
    "notebook": Example(by_config_map, "val_accuracy", 0.03),
}
AT_ONCE = 3
LAST_BITS = 1e-7
"""Half a unit in the last place of float32, about."""
HINTED = "notebook"
"""The example whose job has an entry of `extra` that replaces fedjob's own."""


def here(name: str, shards: Path, folder: Path, disturbance: float = 0) -> Outcome:
    """The example's run on this machine."""
    job = yaml.safe_load((EXAMPLES / name / "job.yaml").read_text())
    job["spec"]["federation"]["numRounds"] = ROUNDS
    model = EXAMPLES / name / ("wine.ipynb" if name == "notebook" else "model")
    files = LocalFiles(shards=shards, model_file=model)
    done = run_in_one_process(
        prepare_text(yaml.safe_dump(job), "job.yaml", files), folder, disturbance
    )
    assert done.outcome == "complete", (done.error, done.failed, done.log)
    return done


def submit(deployment: OperatorDeployment, name: str, shards: Path) -> None:
    """Uploads shards and code, and creates the job."""
    layout = Layout(deployment.jobs, name)
    for path in sorted(shards.glob("*.zip")):
        deployment.bucket.upload_file(path, layout.shard(path.name))
    spec = yaml.safe_load((EXAMPLES / name / "job.yaml").read_text())["spec"]
    spec["federation"]["numRounds"] = ROUNDS
    spec["model"] = CASES[name].ship(deployment, name, spec["model"])
    if name == HINTED:
        spec["training"]["extra"] = {"NUM_CLIENTS": 9}
    deployment.submit(name, **spec)


def test_examples_have_the_same_result_here_and_on_the_cluster(
    deployment: OperatorDeployment, tmp_path: Path
) -> None:
    names = list(CASES)
    shards = {name: make_shards(name, tmp_path / name / "shards") for name in names}
    for name in names[:AT_ONCE]:
        submit(deployment, name, shards[name])
    for index, name in enumerate(names):
        expected = here(name, shards[name], tmp_path / name / "run")
        disturbed = here(name, shards[name], tmp_path / name / "disturbed", LAST_BITS)
        status = deployment.until(name, is_complete)
        if index + AT_ONCE < len(names):
            later = names[index + AT_ONCE]
            submit(deployment, later, shards[later])
        check_hints(deployment, name, status)
        model = compare(deployment, name, status, expected)
        way = distance(expected.weights, expected.initial_weights)
        limit = 3 * distance(expected.weights, disturbed.weights) / way + 1e-4
        # Trainings that share their start alone end 1.4 of the way from each other.
        assert limit < 1
        assert distance(expected.weights, model) / way < limit, name
        deployment.delete(name)


def check_hints(deployment: OperatorDeployment, name: str, status: Any) -> None:
    """Requires the condition Hints and its Warning Event where the job looks mistaken."""
    hints = [c for c in status["conditions"] if c["type"] == "Hints"]
    events = deployment.get("events", f"--field-selector=involvedObject.name={name}")["items"]
    warned = [e["message"] for e in events if e["reason"] == "ProbableMistake"]
    assert warned == [condition["message"] for condition in hints]
    assert len(hints) == (name == HINTED), hints
    if hints:
        assert "spec.training.extra.NUM_CLIENTS is 9 and replaces fedjob's own" in warned[0]


def distance(one: Weights, other: Weights) -> float:
    """Euclidean, over all floating-point tensors."""
    squares = [
        (value.double() - other[name].double()).square().sum()
        for name, value in one.items()
        if value.is_floating_point()
    ]
    return float(torch.stack(squares).sum().sqrt())


def compare(deployment: OperatorDeployment, name: str, status: Any, expected: Outcome) -> Weights:
    """Requires the same tensors, samples and metric; returns the cluster's weights."""
    example = CASES[name]
    assert status["rounds"]["completed"] == ROUNDS
    samples = [sum(p["samples"] for p in line["participants"]) for line in expected.rounds]
    assert [line["samples"] for line in status["history"]] == samples
    metric = status["metrics"][example.metric]
    assert metric == pytest.approx(expected.metrics[-1][example.metric], abs=example.tolerance)
    model = load(deployment.bucket.get_bytes(Layout(deployment.jobs, name).result(MODEL), 1 << 30))
    assert {n: (t.shape, t.dtype) for n, t in model.items()} == {
        n: (t.shape, t.dtype) for n, t in expected.weights.items()
    }
    return model

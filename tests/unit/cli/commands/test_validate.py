"""`fedjob validate`: faults, hints and the workers of a job."""

import json
import zipfile

import pytest
from typer.testing import CliRunner

from fedjob.cli.app import app

MODEL = """
import absent_package
import torch.nn as nn


class Net(nn.Module):
    pass


def fl_train(model, env, out_dir):
    return {"weights": model.state_dict(), "samples": 1}
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "shards").mkdir()
    for name in ("b.zip", "a.zip"):
        with zipfile.ZipFile(tmp_path / "shards" / name, "w") as archive:
            archive.writestr("train.csv", "1,2")
    job = {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "digits"},
        "spec": {"model": {"className": "Net", "source": {"inline": MODEL}}},
    }
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(job))
    return path


def test_hints_and_workers_are_printed(file):
    result = CliRunner().invoke(app, ["validate", str(file)])
    assert result.exit_code == 0
    assert "hint: model_def.py imports absent_package" in result.stderr
    assert result.stdout.splitlines() == [
        "worker-0  a.zip",
        "worker-1  b.zip",
        f"{file} is valid",
    ]


def test_hints_are_in_the_json(file):
    result = CliRunner().invoke(app, ["validate", str(file), "--json"])
    answer = json.loads(result.stdout)
    assert answer["valid"] is True
    assert [hint.split(",")[0] for hint in answer["hints"]] == [
        "model_def.py imports absent_package"
    ]
    assert answer["workers"]["worker-1"] == {"shard": "b.zip", "samples": None}


def test_faults_are_in_the_json_with_the_exit_code_of_a_wrong_input(file):
    file.write_text(file.read_text().replace("digits", "Digits"))
    result = CliRunner().invoke(app, ["validate", str(file), "--json"])
    answer = json.loads(result.stdout)
    assert (answer["valid"], answer["exitCode"]) == (False, 2)
    assert [fault["field"] for fault in answer["faults"]] == ["metadata.name"]

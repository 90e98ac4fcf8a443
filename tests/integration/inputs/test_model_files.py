"""Issue 15, item 6: packages, data files and wheels beside model_def.py, in a real federation."""

import json
import zipfile

import pytest
import torch
from safetensors.torch import load_file

from integration.local_run.tiny_job import environment, fedjob, finish, left

pytestmark = pytest.mark.federation

MODEL = """
import json
from pathlib import Path

import tiny_wheel
from layers.line import make_line

STEP = json.loads((Path(__file__).parent / "data/step.json").read_text())["step"]


def make_net(width=2):
    assert tiny_wheel.VALUE == 7
    return make_line(width)


def fl_train_model(payload):
    rows = (Path(payload["dataset"]["data_root"]) / "train.csv").read_text().splitlines()
    weights = {name: value + STEP for name, value in payload["initial_weights"].items()}
    return {"weights": weights, "samples": len(rows)}
"""
LINE = """
from torch import nn


def make_line(width):
    line = nn.Linear(width, 1)
    nn.init.zeros_(line.weight)
    nn.init.zeros_(line.bias)
    return line
"""
WHEEL = "wheels/tiny_wheel-1.0-py3-none-any.whl"


def write_code(folder):
    files = {
        "model_def.py": MODEL,
        "layers/__init__.py": "",
        "layers/line.py": LINE,
        "data/step.json": '{"step": 3}',
        "requirements.txt": f"numpy  # is there\n./{WHEEL}\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    wheel = folder / WHEEL
    wheel.parent.mkdir()
    info = "tiny_wheel-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_wheel.py", "VALUE = 7\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-wheel\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


def test_a_folder_of_code_with_data_and_a_wheel_runs_on_server_and_workers(tmp_path):
    """A factory in a package, a data file beside model_def.py, a wheel; shards of any files."""
    write_code(tmp_path / "code")
    shards = tmp_path / "shards"
    shards.mkdir()
    for number in range(2):
        with zipfile.ZipFile(shards / f"s{number}.zip", "w") as archive:
            archive.writestr("train.csv", "1,2\n" * (number + 1))
    job = {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "files"},
        "spec": {
            "model": {"source": {"uri": "s3://bucket/model_def.py"}, "className": "make_net"},
            "federation": {"numRounds": 2, "minClients": 2, "waitTimeAfterMinReceived": 1},
        },
    }
    (tmp_path / "job.yaml").write_text(json.dumps(job))
    out = tmp_path / "out"
    given = ["--shards", shards, "--model-file", tmp_path / "code", "--out", out]
    env = environment(XDG_CACHE_HOME=str(tmp_path / "cache"))

    code, _, stderr = finish(fedjob("run", tmp_path / "job.yaml", *given, env=env))
    assert code == 2
    assert f"not installed here: ./{WHEEL}" in stderr.replace("\n", " ")
    assert not out.exists()

    code, _, stderr = finish(fedjob("run", tmp_path / "job.yaml", *given, "--install", env=env))
    assert code == 0, stderr
    weights = load_file(out / "model.safetensors")
    for name, tensor in weights.items():
        assert torch.equal(tensor, torch.full_like(tensor, 6.0)), name
    result = json.loads((out / "result.json").read_text())
    assert [line["samples"] for line in result["rounds"]] == [3, 3]
    (overlay,) = (tmp_path / "cache/fedjob/overlays").iterdir()
    assert (overlay / "tiny_wheel.py").is_file()
    assert left(out) == []

"""Form C: the rendered train_loop.py runs the runtime's training loop."""

import json
from importlib.util import module_from_spec, spec_from_file_location

import pytest
import torch
from PIL import Image
from torch import nn

from fedjob.spec.models.job import FederatedJob
from fedjob.workspace.render import render_job_folder
from fedjob.workspace.source.model_file import check_source
from fedjob_runtime.training.generated import fl_train

SOURCE = "import torch.nn as nn\n\n\nclass Net(nn.Module):\n    pass\n"


@pytest.fixture
def train_loop(tmp_path):
    """The rendered module, imported."""
    job = FederatedJob.model_validate(
        {
            "metadata": {"name": "digits"},
            "spec": {"model": {"className": "Net", "source": {"inline": SOURCE}}},
        }
    )
    info = check_source(SOURCE, "Net")
    files = render_job_folder(job, SOURCE, info, num_classes=3, workers=["worker-0"])
    path = tmp_path / "train_loop.py"
    path.write_bytes(files["app/custom/train_loop.py"])
    spec = spec_from_file_location("train_loop", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def env(tmp_path):
    """A shard of 7 images of one colour each, and form B's env."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    lines = []
    for number in range(7):
        Image.new("RGB", (5, 6), colours[number % 3]).save(tmp_path / f"{number}.png")
        lines.append(json.dumps({"id": str(number), "uri": f"{number}.png", "y": number % 3}))
    (tmp_path / "manifest.ndjson").write_text("\n".join(lines))
    return {
        "EPOCHS": 20,
        "BATCH_SIZE": 3,
        "LR": 0.05,
        "DATA_ROOT": str(tmp_path),
        "MANIFEST_FILE": "manifest.ndjson",
        "NUM_CLASSES": 3,
        "IMG_SIZE": 4,
        "DEVICE": "cpu",
        "CURRENT_ROUND": 1,
        "SITE_NAME": "worker-0",
        "JOB_ID": "job",
    }


def a_model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 3))


def test_rendered_loop_is_the_runtime_loop_and_learns(train_loop, env, tmp_path):
    """CONTRACT section 1, form C: Adam, BCEWithLogitsLoss, resized images."""
    assert train_loop.fl_train is fl_train
    first = train_loop.fl_train(a_model(), env, tmp_path / "out")
    second = fl_train(a_model(), env, tmp_path / "out")
    assert first["samples"] == 7
    assert first["metrics"]["accuracy"] == 1.0
    assert first["metrics"] == second["metrics"]
    assert first["weights"].keys() == second["weights"].keys()
    for name, tensor in first["weights"].items():
        assert torch.equal(tensor, second["weights"][name])

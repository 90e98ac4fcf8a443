"""Where the global model comes from and what it is worth: warm start, fl_validate, form B."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fedjob.protocol.history import History, round_lines
from fedjob.protocol.result_files import HISTORY
from support.federation import Federation

pytestmark = pytest.mark.federation

FORM_B = """
import json
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, 1, bias=False)


def fl_train(model, env, out_dir, logger=None):
    assert model.training, "the weights are loaded before train mode"
    with open(f"{env['DATA_ROOT']}/../env.ndjson", "a") as file:
        file.write(json.dumps(env) + "\\n")
    with torch.no_grad():
        model.fc.weight += 1
    # Form A's third way to return weights: a file in out_dir, nested.
    torch.save({"model_state": model.state_dict()}, f"{out_dir}/state_dict.pt")
    return {"samples": env["weights"][env["SITE_NAME"]], "metrics": {"loss": 1.0, "val_loss": 9.0}}


def fl_validate(model, env, out_dir, logger=None):
    assert not model.training
    value = float(model.fc.weight[0, 0].detach()) + env["shift"][env["SITE_NAME"]]
    return {"metrics": {"score": value}, "samples": env["weights"][env["SITE_NAME"]]}
"""


def test_rows_6_40_a_checkpoint_is_the_first_global_model_and_fl_validate_follows_it(
    federation: Callable[..., Federation], tmp_path: Path
) -> None:
    start = {"fc.weight": torch.full((1, 3), 10.0)}
    checkpoint = tmp_path / "pretrained.pt"
    torch.save({"model_state": start, "epoch": 3}, checkpoint)
    fed = federation(
        FORM_B,
        [4, 4],
        train_fn="fl_train",
        validate_fn="fl_validate",
        federation={"num_rounds": 2, "min_clients": 2},
        model_args={"width": 3},
        checkpoint=checkpoint,
        extra={
            "weights": {"worker-0": 1, "worker-1": 3},
            "shift": {"worker-0": 0.0, "worker-1": 4.0},
        },
    )
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    assert torch.equal(fed.model(0)["fc.weight"], start["fc.weight"])
    assert torch.equal(fed.model(2)["fc.weight"], start["fc.weight"] + 2)
    for number, commit in enumerate(fed.commits(), start=1):
        # The mean of worker-0 (weight 1, shift 0) and worker-1 (weight 3, shift 4), NEW model.
        assert commit.metrics == {
            "loss": 1.0,
            "own_val_loss": 9.0,
            "val_score": pytest.approx(10 + number + 3.0),
        }
        assert commit.times.evaluate > 0
    envs = [
        json.loads(line) for line in (fed.home("worker-1") / "env.ndjson").read_text().splitlines()
    ]
    assert [env["CURRENT_ROUND"] for env in envs] == [0, 1]
    assert envs[0] == {
        "EPOCHS": 1,
        "BATCH_SIZE": 8,
        "LR": 0.1,
        "DATA_ROOT": str(fed.home("worker-1") / "shard"),
        "CURRENT_ROUND": 0,
        "SITE_NAME": "worker-1",
        "JOB_ID": "job",
        "DEVICE": "cpu",
        "NUM_CLASSES": 0,
        "IMG_SIZE": 8,
        "MANIFEST_FILE": "manifest.ndjson",
        "NUM_ROUNDS": 0,
        "NUM_CLIENTS": 0,
        "SHARD_NAME": "shard-1.zip",
        "STATE_DIR": str(fed.home("worker-1") / "state"),
        "weights": {"worker-0": 1, "worker-1": 3},
        "shift": {"worker-0": 0.0, "worker-1": 4.0},
    }
    result = fed.bucket.get_bytes(fed.layout.model_out + "model.safetensors")
    assert len(result) == fed.commits()[-1].size
    legacy = tmp_path / "GLOBAL_MODEL.pt"
    fed.bucket.download_file(fed.layout.model_out + "GLOBAL_MODEL.pt", legacy)
    loaded = torch.load(legacy, weights_only=True)
    assert torch.equal(loaded["fc.weight"], start["fc.weight"] + 2)
    page = fed.bucket.get_bytes(fed.layout.model_out + "report.html").decode()
    assert "val_score" in page
    history = fed.bucket.get_bytes(fed.layout.result(HISTORY))
    assert History.model_validate_json(history).rounds == round_lines(fed.commits())


def test_a_checkpoint_that_does_not_fit_fails_the_run_and_names_the_tensor(
    federation: Callable[..., Federation], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "other.pt"
    torch.save({"fc.weight": torch.zeros(1, 5)}, checkpoint)
    fed = federation(
        FORM_B, [4], train_fn="fl_train", model_args={"width": 3}, checkpoint=checkpoint
    )
    fed.start()
    assert fed.wait_end() == 1, fed.logs()
    status = fed.last_status()
    assert status.phase == "Failed"
    assert "fc.weight" in status.message
    assert status.reason in {"ShapeMismatch", "CheckpointInvalid"}
    assert fed.log.commits() == []

"""Where the global model's metrics come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fedjob_runtime.protocol import ENV_DEVICE, ENV_HANDOVER, ENV_JOB_FOLDER, ENV_JOB_ID
from fedjob_runtime.server.job_process.evaluation import GlobalEvaluation

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 1, bias=False)


def fl_validate(model, env, out_dir, logger=None):
    with open(f"{out_dir}/written", "w") as file:
        file.write("by the author")
    return {"metrics": {"weight": float(model.fc.weight), "round": env["CURRENT_ROUND"]}}
"""
ARGUMENTS = {
    "data_root": "shard",
    "adapter_module": "model_def",
    "train_fn": "fl_train",
    "validate_fn": None,
    "class_name": "Net",
    "model_args": {},
    "hyperparameters": {
        "local_epochs": 1,
        "batch_size": 8,
        "learning_rate": 0.1,
        "num_classes": 0,
        "img_size": 8,
        "manifest_file": "manifest.ndjson",
        "extra": {},
    },
}


def lay_out(folder: Path, patch: pytest.MonkeyPatch, arguments: dict[str, object]) -> None:
    (folder / "app/config").mkdir(parents=True)
    (folder / "app/custom").mkdir()
    (folder / "app/custom/model_def.py").write_text(NET)
    config = {"executors": [{"executor": {"args": arguments}}]}
    (folder / "app/config/config_fed_client.json").write_text(json.dumps(config))
    patch.setenv(ENV_JOB_FOLDER, str(folder))
    patch.setenv(ENV_HANDOVER, str(folder))
    patch.setenv(ENV_JOB_ID, "job")
    patch.setenv(ENV_DEVICE, "cpu")


@pytest.mark.parametrize(
    ("validate", "shard", "executor", "expected"),
    [
        (None, False, "ours", (False, False)),
        (None, True, "ours", (True, False)),
        ("fl_validate", False, "ours", (False, True)),
        ("fl_validate", True, "ours", (True, False)),
        ("fl_validate", True, "the author's", (False, False)),
    ],
)
def test_a_shard_on_the_server_comes_before_the_workers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    validate: str | None,
    shard: bool,
    executor: str,
    expected: tuple[bool, bool],
) -> None:
    own = {**ARGUMENTS, "validate_fn": validate}
    lay_out(tmp_path, monkeypatch, own if executor == "ours" else {"step": 1})
    if shard:
        (tmp_path / "orders/validation").mkdir(parents=True)
    found = GlobalEvaluation.prepare()
    assert (found.on_server, found.on_workers) == expected
    if executor != "ours":
        assert found.run({}, 0) == {}


def test_metrics_are_those_of_the_global_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path, monkeypatch, {**ARGUMENTS, "validate_fn": "fl_validate"})
    (tmp_path / "orders/validation").mkdir(parents=True)
    found = GlobalEvaluation.prepare().run({"fc.weight": torch.full((1, 1), 3.0)}, 4)
    assert found == {"val_weight": 3.0, "val_round": 4.0}
    # In a pod the folder of orders is read-only.
    assert list((tmp_path / "orders/validation").iterdir()) == []

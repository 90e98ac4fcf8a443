"""What the training function gets besides the weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedjob_runtime.training.context import TrainingContext, pick_device
from fedjob_runtime.training.errors import (
    TrainFunctionInvalidError,
    TrainingError,
)


@pytest.mark.parametrize("name", ["DEVICE", "DATA_ROOT", "SITE_NAME"])
def test_extra_cannot_take_a_name_that_fedjob_sets(tmp_path: Path, name: str) -> None:
    with pytest.raises(TrainFunctionInvalidError, match=f"extra has {name}"):
        TrainingContext("w", "j", 0, tmp_path, extra={name: 1})


def test_names_that_came_later_have_the_value_that_a_stored_job_gives(tmp_path: Path) -> None:
    extra = {"NUM_ROUNDS": 9, "STATE_DIR": "mine"}
    context = TrainingContext("w", "j", 0, tmp_path, extra=extra, num_rounds=3, num_clients=2)
    for env in (context.env(), context.documented_env()):
        assert (env["NUM_ROUNDS"], env["STATE_DIR"], env["NUM_CLIENTS"]) == (9, "mine", 2)


def test_fields_prevail_over_the_same_names_in_extra(tmp_path: Path) -> None:
    """The spec has taken the field from `extra`: a value that differs is of a faulty folder."""
    context = TrainingContext(
        "w", "j", 0, tmp_path, batch_size=8, extra={"BATCH_SIZE": 9, "batch_size": 9, "own": 1}
    )
    assert context.env()["BATCH_SIZE"] == context.documented_env()["batch_size"] == 8
    assert context.env()["own"] == context.documented_env()["own"] == 1


def test_the_context_from_the_job_folder_s_hyperparameters(tmp_path: Path) -> None:
    context = TrainingContext.from_hyperparameters(
        {"batch_size": 8, "extra": {"a": 1}},
        worker="worker-0",
        job_id="j",
        round=1,
        data_root=tmp_path / "x" / "..",
        device="cpu",
    )
    assert (context.batch_size, context.local_epochs, context.img_size) == (8, 2, 224)
    assert context.data_root == tmp_path
    assert context.env()["a"] == 1


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == "cpu"
    with pytest.raises(TrainingError, match="sees no GPU"):
        pick_device("cuda")

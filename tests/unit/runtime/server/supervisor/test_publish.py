"""The final model is published from the committed bytes, in both forms, with the report."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import save

from fedjob.errors import FedjobError
from fedjob.protocol.history import History, round_lines
from fedjob.storage.rounds import RoundLog
from fedjob_runtime.server.ipc import Handover
from fedjob_runtime.server.supervisor.publish import publish
from support.supervised_run import FakeLog, SupervisedRun


def published(folder: Path, log: FakeLog) -> dict[str, bytes]:
    run = SupervisedRun(folder, rounds=1, log=log)
    found = publish(run.supervisor._config, cast(RoundLog, log), Handover(folder))
    assert found.sha256 == log.kept[1].sha256
    return log.published


def log_with(model: bytes) -> FakeLog:
    log = FakeLog()
    log.put(0)
    log.put(1)
    log.models[1] = model
    return log


def left_by_a_job_process(folder: Path, model: bytes) -> None:
    handover = Handover(folder)
    handover.model_file(1).parent.mkdir(parents=True)
    handover.model_file(1).write_bytes(model)
    handover.torch_file(1).write_bytes(b"torch file")


def test_torch_file_of_the_committed_model_is_used(tmp_path: Path) -> None:
    left_by_a_job_process(tmp_path, b"committed")
    files = published(tmp_path, log_with(b"committed"))
    assert list(files) == ["GLOBAL_MODEL.pt", "report.html", "history.json", "model.safetensors"]
    assert files["GLOBAL_MODEL.pt"] == b"torch file"
    assert b"<html" in files["report.html"]


def test_torch_file_of_another_model_is_made_again(tmp_path: Path) -> None:
    left_by_a_job_process(tmp_path, b"of a segment that was superseded")
    weights = {"w": torch.full((2,), 3.0)}
    files = published(tmp_path, log_with(save(weights)))
    (tmp_path / "read.pt").write_bytes(files["GLOBAL_MODEL.pt"])
    assert torch.equal(torch.load(tmp_path / "read.pt", weights_only=True)["w"], weights["w"])


def test_model_that_cannot_be_converted_is_an_error_with_a_fix(tmp_path: Path) -> None:
    with pytest.raises(
        FedjobError, match=r"(?s)GLOBAL_MODEL\.pt could not be written: .*; see whether"
    ):
        published(tmp_path, log_with(b"not safetensors"))


def test_every_round_is_in_the_history(tmp_path: Path) -> None:
    left_by_a_job_process(tmp_path, b"committed")
    log = log_with(b"committed")
    files = published(tmp_path, log)
    history = History.model_validate_json(files["history.json"])
    assert history.rounds == round_lines(log.kept.values())
    assert [line.round for line in history.rounds] == [1]

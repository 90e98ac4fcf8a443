"""result.json."""

import json

import pytest
import torch
from safetensors.torch import save_file

from fedjob.engines.result import (
    BestModelFile,
    FolderFiles,
    ModelFile,
    RunResult,
    RunState,
    read_result,
    round_lines,
)
from fedjob.errors import InvalidInputError, UnavailableError
from fedjob.protocol.commit import Commit, Participant, RoundTimes
from fedjob.protocol.result_files import BEST_MODEL, MODEL, MODEL_PT
from fedjob.storage.checksum import sha256_of


def commit(number, samples=(), metrics=None, seconds=1.0):
    return Commit(
        round=number,
        attempt=1,
        sha256="0" * 64,
        size=8,
        participants=[
            Participant(name=f"worker-{i}", samples=count) for i, count in enumerate(samples)
        ],
        times=RoundTimes(total=seconds),
        started="2026-01-01T00:00:00Z",
        ended="2026-01-01T00:00:01Z",
    ).model_copy(update={"metrics": metrics or {}})  # also what a commit does not take


def test_rounds_are_in_order_without_the_initial_model():
    lines = round_lines([commit(2, (5,)), commit(0), commit(1, (3, 4), {"loss": 0.5}, 1.23456)])
    assert [line.round for line in lines] == [1, 2]
    assert lines[0].model_dump(by_alias=True) == {
        "round": 1,
        "clients": 2,
        "samples": 7,
        "metrics": {"loss": 0.5},
        "seconds": 1.235,
    }


def test_what_is_not_finite_is_null_in_json():
    lines = round_lines([commit(1, (1,), {"loss": float("nan"), "top": float("inf"), "low": 0.0})])
    assert lines[0].metrics == {"loss": None, "top": None, "low": 0.0}


def test_a_result_survives_its_file(tmp_path):
    result = RunResult(
        name="digits",
        namespace="default",
        state=RunState.COMPLETE,
        rounds=round_lines([commit(1, (1,), {"loss": float("nan")})]),
        model=ModelFile(uri="file:///m", sha256="a" * 64, size=8),
        num_classes=10,
    )
    path = tmp_path / "result.json"
    result.write(path)
    assert read_result(path) == result
    data = json.loads(path.read_text())
    assert set(data) >= {"state", "rounds", "model", "reason", "message"}
    assert data["state"] == "Complete"
    assert data["model"] == {"uri": "file:///m", "sha256": "a" * 64, "size": 8}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"], "no scratch file is left"


def test_no_result_and_rubbish_are_none(tmp_path):
    assert read_result(tmp_path / "absent") is None
    (tmp_path / "rubbish").write_text("{}")
    assert read_result(tmp_path / "rubbish") is None


@pytest.fixture
def folder(tmp_path):
    """A delivered model of two tensors."""
    save_file(
        {"a": torch.ones(2, 3), "n": torch.tensor(7)},
        tmp_path / MODEL,
    )
    (tmp_path / MODEL_PT).write_bytes(b"pt")
    return tmp_path


def complete(folder, **model):
    path = folder / MODEL
    file = {"uri": path.as_uri(), "sha256": sha256_of(path), "size": path.stat().st_size} | model
    return RunResult(
        name="x", namespace="d", state=RunState.COMPLETE, model=ModelFile(**file)
    ).with_files(FolderFiles(folder))


def test_load_gives_tensors_that_outlive_the_file(folder):
    result = complete(folder)
    weights = result.load()
    (folder / MODEL).unlink()
    assert {name: (value.shape, value.dtype) for name, value in weights.items()} == {
        "a": ((2, 3), torch.float32),
        "n": ((), torch.int64),
    }
    assert weights["a"].sum() == 6


def test_download_writes_what_is_there_and_result_json(folder, tmp_path):
    target = complete(folder).download(tmp_path / "to" / "here")
    assert sorted(path.name for path in target.iterdir()) == [MODEL_PT, MODEL, "result.json"]
    assert read_result(target / "result.json") == complete(folder)
    assert complete(target).download(target) == target, "into its own folder"


def test_changed_or_missing_model_is_refused(folder, tmp_path):
    with pytest.raises(UnavailableError, match="not the model of this run"):
        complete(folder, sha256="0" * 64).load()
    with pytest.raises(UnavailableError, match="not the model of this run"):
        complete(folder, sha256="0" * 64).download(tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == [], "nothing is left half done"
    result = complete(folder)
    (folder / MODEL).unlink()
    with pytest.raises(UnavailableError, match=r"model\.safetensors is not there any more"):
        result.load()


def test_failed_run_has_no_model(tmp_path):
    failed = RunResult(
        name="x", namespace="d", state=RunState.FAILED, reason="OutOfMemory", message="m"
    )
    with pytest.raises(InvalidInputError, match=r"has no model \(OutOfMemory: m\)"):
        failed.load()
    target = failed.with_files(FolderFiles(tmp_path)).download(tmp_path / "to")
    assert [path.name for path in target.iterdir()] == ["result.json"]


def test_results_are_equal_wherever_their_files_are(folder):
    assert complete(folder) == complete(folder).with_files(FolderFiles(folder / "other"))


def test_best_model_is_loaded_and_downloaded_beside_the_last(tmp_path):
    for name, value in ((MODEL, 1.0), (BEST_MODEL, 2.0)):
        save_file({"w": torch.full((2,), value)}, tmp_path / name)
    (tmp_path / MODEL_PT).write_bytes(b"pt")
    best = BestModelFile(
        sha256=sha256_of(tmp_path / BEST_MODEL), size=1, round=1, metric="m", value=0.5
    )
    model = ModelFile(sha256=sha256_of(tmp_path / MODEL), size=1)
    result = RunResult(
        name="x", namespace="default", state=RunState.COMPLETE, model=model, best=best
    ).with_files(FolderFiles(tmp_path))
    assert result.load()["w"].tolist() == [1.0, 1.0]
    assert result.load(best=True)["w"].tolist() == [2.0, 2.0]
    target = result.download(tmp_path / "copy")
    assert sha256_of(target / BEST_MODEL) == best.sha256
    assert read_result(target / "result.json").best == best
    (tmp_path / BEST_MODEL).write_bytes(b"changed")
    with pytest.raises(UnavailableError, match="is not the model of this run"):
        result.load(best=True)


def test_run_without_a_best_round_says_how_to_get_one(tmp_path):
    result = RunResult(name="x", namespace="default", state=RunState.COMPLETE)
    with pytest.raises(InvalidInputError, match=r"has no best round.*federation\.stopWhen"):
        result.load(best=True)

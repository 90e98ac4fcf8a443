"""Failure headers, the environment of processes, and the executor's arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedjob_runtime.protocol import JobSettings, env_path, env_text, failure_header, read_failure


def test_failure_is_read_back() -> None:
    assert read_failure(failure_header("TrainingFailed", "w: KeyError")) == (
        "TrainingFailed",
        "w: KeyError",
    )
    assert read_failure(None) is None


@pytest.mark.parametrize("header", ["text", "{}", '{"reason": 1}', 7, "[1]"])
def test_header_of_another_make_becomes_text(header: object) -> None:
    assert read_failure(header) == ("TrainingFailed", str(header))


def test_long_header_is_cut() -> None:
    found = read_failure(failure_header("R" * 1000, "m" * 10_000))
    assert found is not None
    assert [len(part) for part in found] == [64, 4000]


def test_environment_that_is_missing_names_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDJOB_HANDOVER", "/state")
    assert env_path("FEDJOB_HANDOVER") == Path("/state")
    monkeypatch.setenv("FEDJOB_HANDOVER", "")
    with pytest.raises(RuntimeError, match="FEDJOB_HANDOVER is not set: start this through"):
        env_text("FEDJOB_HANDOVER")


ARGUMENTS = {
    "data_root": "shard",
    "adapter_module": "model_def",
    "train_fn": None,
    "validate_fn": None,
    "class_name": "Net",
    "model_args": {},
    "hyperparameters": {"batch_size": 8},
}


@pytest.mark.parametrize(
    ("arguments", "found"), [(ARGUMENTS, True), ({"step": [1.0]}, False), (None, False)]
)
def test_settings_are_those_of_our_executor_only(
    tmp_path: Path, arguments: dict[str, object] | None, found: bool
) -> None:
    executor = {} if arguments is None else {"args": arguments}
    folder = tmp_path / "app/config"
    folder.mkdir(parents=True)
    config = {"executors": [{"executor": executor}]}
    (folder / "config_fed_client.json").write_text(json.dumps(config))
    settings = JobSettings.read(tmp_path)
    assert (settings is not None) is found
    assert settings is None or settings.class_name == "Net"

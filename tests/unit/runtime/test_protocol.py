"""Failure headers, the environment of processes, and the executor's arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedjob_runtime.protocol import (
    PROTOCOL,
    RELEASE,
    TASK_PROTOCOL,
    JobSettings,
    VersionMismatchError,
    check_reply,
    check_task,
    env_path,
    env_text,
    failure_header,
    read_failure,
    version_meta,
)


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


def test_own_version_is_accepted() -> None:
    check_task(version_meta(), "w")
    check_reply(version_meta(), "w")


def test_sender_without_a_number_counts_as_protocol_1(monkeypatch: pytest.MonkeyPatch) -> None:
    check_reply({}, "w")
    monkeypatch.setattr("fedjob_runtime.protocol.TASK_PROTOCOL", 2)
    with pytest.raises(
        VersionMismatchError, match=r"this worker's is before 0\.2\.0 \(protocol 1\)"
    ):
        check_reply({}, "w")
    with pytest.raises(
        VersionMismatchError, match=r"server's fedjob is before 0\.2\.0 \(protocol 1\)"
    ):
        check_task({}, "w")


@pytest.mark.parametrize("number", [TASK_PROTOCOL + 1, True, "1", None, [1], "x" * 10_000])
def test_other_numbers_are_refused_in_a_bounded_message(number: object) -> None:
    with pytest.raises(VersionMismatchError) as caught:
        check_reply({PROTOCOL: number, RELEASE: "r" * 10_000}, "w")
    assert len(str(caught.value)) < 400
    assert str(caught.value).endswith("delete the job and submit it again")

"""result.json."""

import json

from fedjob.engines.local.results.result import (
    ModelFile,
    RunResult,
    RunState,
    read_result,
    round_lines,
)
from fedjob.protocol.commit import Commit, Participant, RoundTimes


def commit(number, samples=(), metrics=None, seconds=1.0):
    return Commit(
        round=number,
        attempt=1,
        sha256="0" * 64,
        size=8,
        participants=[
            Participant(name=f"worker-{i}", samples=count) for i, count in enumerate(samples)
        ],
        metrics=metrics or {},
        times=RoundTimes(total=seconds),
        started="2026-01-01T00:00:00Z",
        ended="2026-01-01T00:00:01Z",
    )


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

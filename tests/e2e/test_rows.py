"""The promises about rounds, in pods: what a training function gets, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from e2e.recorder import commits, give_shards, recorder, records
from e2e.stage import Stage, is_complete
from fedjob.protocol.commit import Commit
from fedjob.storage.layout import Layout
from fedjob.storage.rounds import RoundLog

pytestmark = pytest.mark.e2e

SAMPLES = (4, 8, 20)


def weights_of(stage: Stage, name: str, number: int, folder: Path) -> dict[str, list[float]]:
    """A committed model, flattened as the recorder tells it."""
    path = folder / f"{name}-{number}.safetensors"
    RoundLog(stage.bucket, Layout(stage.jobs, name)).fetch_model(number, path)
    return {key: array.flatten().tolist() for key, array in load_file(path).items()}


def test_every_worker_trains_once_a_round_on_the_model_of_the_round_before(
    stage: Stage, tmp_path: Path
) -> None:
    """Rows 1, 7, 8, 9, 10, 11, 12, 13, 14, 16, 37; worker-2 is slow in the third round."""
    give_shards(stage, "rows", *SAMPLES)
    sections = recorder(
        4,
        {"minClients": 2, "jobName": "rows-job", "waitTimeAfterMinReceived": 8},
        slow=40.0,
        slow_site="worker-2",
        slow_round=2,
    )
    sections["training"] |= {"batchSize": 7, "learningRate": 0.25, "localEpochs": 3}
    stage.submit("rows", **sections)
    status = stage.until("rows", is_complete)

    made = commits(stage, "rows")
    assert [commit.round for commit in made] == [0, 1, 2, 3, 4]
    assert status["rounds"] == {"completed": 4, "total": 4, "display": "4/4"}
    assert [entry["round"] for entry in status["history"]] == [1, 2, 3, 4]
    shards = {worker["name"]: worker["shard"] for worker in status["clients"]["list"]}
    assert shards == {f"worker-{i}": f"part-{i}.zip" for i in range(3)}
    names = [sorted(each.name for each in commit.participants) for commit in made[1:]]
    assert names[:3] == [
        ["worker-0", "worker-1", "worker-2"],
        ["worker-0", "worker-1", "worker-2"],
        ["worker-0", "worker-1"],
    ]
    assert {"worker-0", "worker-1"} <= set(names[3])

    models = [weights_of(stage, "rows", number, tmp_path) for number in range(5)]
    for commit in made[1:]:
        check_mean(commit, models[commit.round - 1], models[commit.round])
    for worker in range(3):
        check_records(records(stage, "rows", worker), worker, made, models)
    meta = json.loads(stage.bucket.get_bytes(Layout(stage.jobs, "rows").configs + "meta.json"))
    assert meta["name"] == "rows-job"


def check_mean(
    commit: Commit, before: dict[str, list[float]], after: dict[str, list[float]]
) -> None:
    """Every weight rose by the mean of i + 1 over the workers that took part, by their samples."""
    parts = [(int(p.name[-1]), p.samples) for p in commit.participants]
    assert all(samples == SAMPLES[index] for index, samples in parts)
    rise = sum((index + 1) * n for index, n in parts) / sum(n for _, n in parts)
    for name, values in after.items():
        expected = [value + rise for value in before[name]]
        assert values == pytest.approx(expected, abs=1e-5)


def check_records(
    told: list[dict[str, Any]],
    worker: int,
    made: list[Commit],
    models: list[dict[str, list[float]]],
) -> None:
    rounds = [record["env"]["CURRENT_ROUND"] for record in told]
    # Once a round; a worker that is still at the last one is not in the next.
    assert len(rounds) == len(set(rounds))
    took_part = [c.round - 1 for c in made[1:] if f"worker-{worker}" in {
        p.name for p in c.participants}]  # fmt: skip
    assert set(took_part) <= set(rounds)
    for record in told:
        env = record["env"]
        assert record["keys"] == ["dataset", "env", "initial_weights"]
        assert record["data_root"].endswith("/shard")
        assert record["weights"] == models[env["CURRENT_ROUND"]]
        assert env["SITE_NAME"] == f"worker-{worker}"
        assert (env["batch_size"], env["learning_rate"], env["local_epochs"]) == (7, 0.25, 3)
        assert (env["num_classes"], env["img_size"]) == (2, 224)
        assert (env["JOB_ID"], env["DEVICE"], env["pause"]) == ("rows", "cpu", 0.0)


def test_a_silent_worker_is_dropped_and_comes_back(stage: Stage) -> None:
    """Row 15: its processes stand still, with their connections open."""
    give_shards(stage, "silent", 4, 8, 12)
    sections = recorder(500, {"minClients": 2, "heartBeatTimeout": 6}, pause=1.0)
    stage.submit("silent", **sections)
    stage.until("silent", lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    shell = ("-n", stage.jobs, "exec", "silent-worker-1", "--", "sh", "-c")
    stage.kubectl(*shell, "kill -STOP -1")
    status = stage.until("silent", lambda s: s["clients"]["list"][1]["state"] == "Lost")
    assert status["clients"]["display"] == "2/3"
    number = status["rounds"]["completed"]
    stage.until("silent", lambda s: s["rounds"]["completed"] >= number + 2)
    without = next(c for c in commits(stage, "silent") if c.round == number + 2)
    assert {each.name for each in without.participants} == {"worker-0", "worker-2"}
    stage.kubectl(*shell, "kill -CONT -1")
    status = stage.until("silent", lambda s: s["clients"]["display"] == "3/3")
    stage.until("silent", lambda s: s["history"][-1]["clients"] == 3)
    numbers = [commit.round for commit in commits(stage, "silent")]
    assert numbers == list(range(len(numbers)))
    stage.delete("silent")
    stage.nothing_is_left("silent")

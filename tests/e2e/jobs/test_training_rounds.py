"""The contract about rounds, in pods: the training function's inputs, and how results are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from e2e.cluster_access.operator_deployment import OperatorDeployment, is_complete
from e2e.cluster_access.recorder import commits, recorder, records, upload_shards
from fedjob.protocol.commit import Commit
from fedjob.storage.layout import Layout
from fedjob.storage.rounds import RoundLog

pytestmark = pytest.mark.e2e

SAMPLES = (4, 8, 20)


def weights_of(
    deployment: OperatorDeployment, name: str, number: int, folder: Path
) -> dict[str, list[float]]:
    """A committed model, flattened as in the recorder's log."""
    path = folder / f"{name}-{number}.safetensors"
    RoundLog(deployment.bucket, Layout(deployment.jobs, name)).fetch_model(number, path)
    return {key: array.flatten().tolist() for key, array in load_file(path).items()}


def test_every_worker_trains_once_per_round_on_the_previous_model(
    deployment: OperatorDeployment, tmp_path: Path
) -> None:
    """Rows 1, 7, 8, 9, 10, 11, 12, 13, 14, 16, 37; worker-2 is slow in the third round."""
    upload_shards(deployment, "rows", *SAMPLES)
    sections = recorder(
        4,
        {"minClients": 2, "jobName": "rows-job", "waitTimeAfterMinReceived": 8},
        slow=40.0,
        slow_site="worker-2",
        slow_round=2,
    )
    sections["training"] |= {"batchSize": 7, "learningRate": 0.25, "localEpochs": 3}
    deployment.submit("rows", **sections)
    status = deployment.until("rows", is_complete)

    made = commits(deployment, "rows")
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

    models = [weights_of(deployment, "rows", number, tmp_path) for number in range(5)]
    for commit in made[1:]:
        check_mean(commit, models[commit.round - 1], models[commit.round])
    for worker in range(3):
        check_records(records(deployment, "rows", worker), worker, made, models)
    meta = json.loads(
        deployment.bucket.get_bytes(Layout(deployment.jobs, "rows").configs + "meta.json")
    )
    assert meta["name"] == "rows-job"


def check_mean(
    commit: Commit, before: dict[str, list[float]], after: dict[str, list[float]]
) -> None:
    """Every weight rose by the sample-weighted mean of i + 1 over the participating workers."""
    parts = [(int(p.name[-1]), p.samples) for p in commit.participants]
    assert all(samples == SAMPLES[index] for index, samples in parts)
    rise = sum((index + 1) * n for index, n in parts) / sum(n for _, n in parts)
    for name, values in after.items():
        expected = [value + rise for value in before[name]]
        assert values == pytest.approx(expected, abs=1e-5)


def check_records(
    logged: list[dict[str, Any]],
    worker: int,
    made: list[Commit],
    models: list[dict[str, list[float]]],
) -> None:
    rounds = [record["env"]["CURRENT_ROUND"] for record in logged]
    # Once per round; a worker still busy with one round is not in the next.
    assert len(rounds) == len(set(rounds))
    took_part = [c.round - 1 for c in made[1:] if f"worker-{worker}" in {
        p.name for p in c.participants}]  # fmt: skip
    assert set(took_part) <= set(rounds)
    for record in logged:
        env = record["env"]
        assert record["keys"] == ["dataset", "env", "initial_weights", "state_dir"]
        assert record["data_root"].endswith("/shard")
        assert record["weights"] == models[env["CURRENT_ROUND"]]
        assert env["SITE_NAME"] == f"worker-{worker}"
        assert (env["batch_size"], env["learning_rate"], env["local_epochs"]) == (7, 0.25, 3)
        assert (env["num_classes"], env["img_size"]) == (2, 224)
        assert (env["JOB_ID"], env["DEVICE"], env["pause"]) == ("rows", "cpu", 0.0)


def test_silent_worker_is_dropped_and_comes_back(deployment: OperatorDeployment) -> None:
    """Row 15: its processes are stopped (SIGSTOP) while their connections stay open."""
    upload_shards(deployment, "silent", 4, 8, 12)
    sections = recorder(500, {"minClients": 2, "heartBeatTimeout": 6}, pause=1.0)
    deployment.submit("silent", **sections)
    deployment.until("silent", lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    shell = ("-n", deployment.jobs, "exec", "silent-worker-1", "--", "sh", "-c")
    deployment.kubectl(*shell, "kill -STOP -1")
    status = deployment.until("silent", lambda s: s["clients"]["list"][1]["state"] == "Lost")
    assert status["clients"]["display"] == "2/3"
    number = status["rounds"]["completed"]
    deployment.until("silent", lambda s: s["rounds"]["completed"] >= number + 2)
    without = next(c for c in commits(deployment, "silent") if c.round == number + 2)
    assert {each.name for each in without.participants} == {"worker-0", "worker-2"}
    deployment.kubectl(*shell, "kill -CONT -1")
    status = deployment.until("silent", lambda s: s["clients"]["display"] == "3/3")
    deployment.until("silent", lambda s: s["history"][-1]["clients"] == 3)
    numbers = [commit.round for commit in commits(deployment, "silent")]
    assert numbers == list(range(len(numbers)))
    deployment.delete("silent")
    deployment.wait_until_gone("silent")

"""The life of a job: more rounds, deadlines, limits, the end of its keeping, memory, queues."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from e2e.recorder import RECORDER, commits, give_shards, recorder
from e2e.stage import Stage, is_complete
from fedjob.reasons import Reason

pytestmark = pytest.mark.e2e

PAUSE = '    time.sleep(env["pause"])\n'
EAT = '    eaten = [bytes([1]) * 2**20 for _ in range(env["megabytes"])]\n'
HUNGRY_SERVER = f"""{RECORDER}

from nvflare.app_common.aggregators.model_aggregator import ModelAggregator


class Eater(ModelAggregator):
    def accept_model(self, model):
        pass

    def aggregate_model(self):
        return [bytes([1]) * 2**20 for _ in range(4000)]

    def reset_stats(self):
        pass
"""
HUNGRY = RECORDER.replace(PAUSE, EAT + PAUSE)


def has_failed(reason: Reason) -> Any:
    return lambda status: status.get("state") == "Failed" and status["reason"] == reason


def no_pods(stage: Stage, name: str) -> None:
    deadline = time.monotonic() + 120
    while any(
        pod["status"]["phase"] in ("Pending", "Running")
        for pod in stage.get("pods", "-l", f"fedjob.dev/job={name}")["items"]
    ):
        assert time.monotonic() < deadline
        time.sleep(1)


def test_a_finished_job_goes_on_for_more_rounds_and_is_deleted_when_its_time_is_over(
    stage: Stage,
) -> None:
    give_shards(stage, "more", 4)
    stage.submit("more", **recorder(1))
    first = stage.until("more", is_complete)
    stage.patch("more", {"federation": {"numRounds": 3}})
    status = stage.until("more", lambda s: s["rounds"]["completed"] == 3 and is_complete(s))
    assert [entry["round"] for entry in status["history"]] == [1, 2, 3]
    assert status["result"]["sha256"] != first["result"]["sha256"]
    made = commits(stage, "more")
    assert [commit.round for commit in made] == [0, 1, 2, 3]
    stage.patch("more", {"runPolicy": {"ttlSecondsAfterFinished": 3}})
    stage.nothing_is_left("more")
    deadline = time.monotonic() + 60
    while "more" in [item["metadata"]["name"] for item in stage.get("fj")["items"]]:
        assert time.monotonic() < deadline
        time.sleep(1)
    _, _, key = status["result"]["uri"].removeprefix("s3://").partition("/")
    assert stage.bucket.head(key) is not None


def test_limits_end_a_run_and_raised_they_let_it_go_on(stage: Stage) -> None:
    give_shards(stage, "limits", 4)
    stage.submit("limits", **recorder(500, pause=1.0), runPolicy={"activeDeadlineSeconds": 5})
    status = stage.until("limits", has_failed(Reason.DEADLINE_EXCEEDED))
    assert "activeDeadlineSeconds (5 s)" in status["message"]
    no_pods(stage, "limits")
    stage.patch("limits", {"runPolicy": {"activeDeadlineSeconds": None, "backoffLimit": 0}})
    status = stage.until("limits", lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    attempt = status["attempt"]

    def kill_server() -> None:
        names = [n for n in stage.pods("limits") if "-server" in n]
        shell = ("-n", stage.jobs, "exec", names[-1], "--", "sh", "-c", "kill -9 -1")
        stage.kubectl(*shell, check=False)

    kill_server()
    status = stage.until("limits", has_failed(Reason.BACKOFF_LIMIT_EXCEEDED))
    done = status["rounds"]["completed"]
    assert "spec.runPolicy.backoffLimit is 0" in status["message"]
    no_pods(stage, "limits")
    stage.patch("limits", {"runPolicy": {"backoffLimit": 6}})
    status = stage.until("limits", lambda s: s["rounds"]["completed"] >= done + 2)
    assert status["attempt"] > attempt
    numbers = [commit.round for commit in commits(stage, "limits")]
    assert numbers == list(range(len(numbers)))
    stage.delete("limits")


def test_a_worker_out_of_memory_ends_the_run_with_the_batch_size(stage: Stage) -> None:
    """Row 30: told, and not tried again."""
    give_shards(stage, "hungry", 4)
    sections = recorder(3, pause=0.0)
    sections["model"]["source"]["inline"] = HUNGRY
    sections["training"]["extra"]["megabytes"] = 4000
    sections["training"]["batchSize"] = 77
    limits = {"limits": {"memory": "1Gi"}, "requests": {"memory": "512Mi"}}
    stage.submit("hungry", **sections, workers={"gpu": 0, "resources": limits})
    status = stage.until("hungry", has_failed(Reason.OUT_OF_MEMORY))
    assert "batch_size 77" in status["message"]
    assert "reduce batch_size" in status["message"]
    assert "its limit is 1Gi" in status["message"]
    assert status["clients"]["list"][0]["restarts"] <= 1
    stage.delete("hungry")


def test_a_server_out_of_memory_ends_the_run_with_its_limit(stage: Stage) -> None:
    """Also where the kernel ends one process alone, and Kubernetes has nothing to tell."""
    give_shards(stage, "broad", 4)
    sections = recorder(3, pause=0.0)
    sections["model"]["source"]["inline"] = HUNGRY_SERVER
    sections["components"] = {"aggregator": {"path": "model_def.Eater", "args": {}}}
    limits = {"limits": {"memory": "1Gi"}, "requests": {"memory": "512Mi"}}
    stage.submit("broad", **sections, server={"resources": limits})
    status = stage.until("broad", has_failed(Reason.OUT_OF_MEMORY))
    assert "spec.server.resources.limits.memory" in status["message"]
    assert status["rounds"]["completed"] == 0
    stage.delete("broad")


def test_a_job_in_a_queue_waits_until_it_is_admitted(stage: Stage) -> None:
    """What Kueue needs of the pods; the test takes Kueue's part and admits them."""
    give_shards(stage, "queued", 4)
    stage.submit("queued", labels={"kueue.x-k8s.io/queue-name": "team-a"}, **recorder(1))
    status = stage.until("queued", lambda s: s.get("reason") == Reason.QUEUED)
    assert status["state"] == "Starting"
    assert "kubectl get workloads" in status["message"]
    pods = stage.get("pods", "-l", "kueue.x-k8s.io/queue-name=team-a")["items"]
    assert len(pods) == 2
    for pod in pods:
        assert pod["spec"]["schedulingGates"] == [{"name": "kueue.x-k8s.io/admission"}]
        assert pod["metadata"]["labels"]["kueue.x-k8s.io/pod-group-name"] == "queued"
        assert pod["metadata"]["annotations"]["kueue.x-k8s.io/pod-group-total-count"] == "2"
        admit = json.dumps([{"op": "remove", "path": "/spec/schedulingGates"}])
        name = pod["metadata"]["name"]
        stage.kubectl("-n", stage.jobs, "patch", "pod", name, "--type=json", "-p", admit)
    stage.until("queued", is_complete)
    stage.delete("queued")

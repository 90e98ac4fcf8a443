"""Lifecycle of a job: more rounds, deadline, backoff limit, TTL, out of memory, Kueue queues."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from e2e.cluster_access.operator_deployment import OperatorDeployment, is_complete
from e2e.cluster_access.recorder import RECORDER, commits, recorder, upload_shards
from fedjob.reasons import Reason

pytestmark = pytest.mark.e2e

PAUSE = '    time.sleep(env["pause"])\n'
ALLOCATE = '    ballast = [bytes([1]) * 2**20 for _ in range(env["megabytes"])]\n'
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
HUNGRY = RECORDER.replace(PAUSE, ALLOCATE + PAUSE)


def has_failed(reason: Reason) -> Any:
    return lambda status: status.get("state") == "Failed" and status["reason"] == reason


def wait_for_no_pods(deployment: OperatorDeployment, name: str) -> None:
    deadline = time.monotonic() + 120
    while any(
        pod["status"]["phase"] in ("Pending", "Running")
        for pod in deployment.get("pods", "-l", f"fedjob.dev/job={name}")["items"]
    ):
        assert time.monotonic() < deadline
        time.sleep(1)


def test_finished_job_continues_for_more_rounds_and_is_deleted_after_its_ttl(
    deployment: OperatorDeployment,
) -> None:
    upload_shards(deployment, "more", 4)
    deployment.submit("more", **recorder(1))
    first = deployment.until("more", is_complete)
    deployment.patch("more", {"federation": {"numRounds": 3}})
    status = deployment.until("more", lambda s: s["rounds"]["completed"] == 3 and is_complete(s))
    assert [entry["round"] for entry in status["history"]] == [1, 2, 3]
    assert status["result"]["sha256"] != first["result"]["sha256"]
    made = commits(deployment, "more")
    assert [commit.round for commit in made] == [0, 1, 2, 3]
    deployment.patch("more", {"runPolicy": {"ttlSecondsAfterFinished": 3}})
    deployment.wait_until_gone("more")
    deadline = time.monotonic() + 60
    while "more" in [item["metadata"]["name"] for item in deployment.get("fj")["items"]]:
        assert time.monotonic() < deadline
        time.sleep(1)
    _, _, key = status["result"]["uri"].removeprefix("s3://").partition("/")
    assert deployment.bucket.head(key) is not None


def test_limits_end_a_run_and_raising_them_continues_it(deployment: OperatorDeployment) -> None:
    upload_shards(deployment, "limits", 4)
    deployment.submit("limits", **recorder(500, pause=1.0), runPolicy={"activeDeadlineSeconds": 5})
    status = deployment.until("limits", has_failed(Reason.DEADLINE_EXCEEDED))
    assert "activeDeadlineSeconds (5 s)" in status["message"]
    wait_for_no_pods(deployment, "limits")
    deployment.patch("limits", {"runPolicy": {"activeDeadlineSeconds": None, "backoffLimit": 0}})
    status = deployment.until("limits", lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    attempt = status["attempt"]

    def kill_server() -> None:
        names = [n for n in deployment.pods("limits") if "-server" in n]
        shell = ("-n", deployment.jobs, "exec", names[-1], "--", "sh", "-c", "kill -9 -1")
        deployment.kubectl(*shell, check=False)

    kill_server()
    status = deployment.until("limits", has_failed(Reason.BACKOFF_LIMIT_EXCEEDED))
    done = status["rounds"]["completed"]
    assert "spec.runPolicy.backoffLimit is 0" in status["message"]
    wait_for_no_pods(deployment, "limits")
    deployment.patch("limits", {"runPolicy": {"backoffLimit": 6}})
    status = deployment.until("limits", lambda s: s["rounds"]["completed"] >= done + 2)
    assert status["attempt"] > attempt
    numbers = [commit.round for commit in commits(deployment, "limits")]
    assert numbers == list(range(len(numbers)))
    deployment.delete("limits")


def test_worker_out_of_memory_ends_the_run_with_the_batch_size(
    deployment: OperatorDeployment,
) -> None:
    """Row 30: reported, and not retried."""
    upload_shards(deployment, "hungry", 4)
    sections = recorder(3, pause=0.0)
    sections["model"]["source"]["inline"] = HUNGRY
    sections["training"]["extra"]["megabytes"] = 4000
    sections["training"]["batchSize"] = 77
    limits = {"limits": {"memory": "1Gi"}, "requests": {"memory": "512Mi"}}
    deployment.submit("hungry", **sections, workers={"gpu": 0, "resources": limits})
    status = deployment.until("hungry", has_failed(Reason.OUT_OF_MEMORY))
    assert "batch_size 77" in status["message"]
    assert "reduce batch_size" in status["message"]
    assert "its limit is 1Gi" in status["message"]
    assert status["clients"]["list"][0]["restarts"] <= 1
    deployment.delete("hungry")


def test_server_out_of_memory_ends_the_run_with_its_limit(
    deployment: OperatorDeployment,
) -> None:
    """Also if the kernel kills only one process, which Kubernetes does not report."""
    upload_shards(deployment, "broad", 4)
    sections = recorder(3, pause=0.0)
    sections["model"]["source"]["inline"] = HUNGRY_SERVER
    sections["components"] = {"aggregator": {"path": "model_def.Eater", "args": {}}}
    limits = {"limits": {"memory": "1Gi"}, "requests": {"memory": "512Mi"}}
    deployment.submit("broad", **sections, server={"resources": limits})
    status = deployment.until("broad", has_failed(Reason.OUT_OF_MEMORY))
    assert "spec.server.resources.limits.memory" in status["message"]
    assert status["rounds"]["completed"] == 0
    deployment.delete("broad")


def test_queued_job_waits_until_it_is_admitted(deployment: OperatorDeployment) -> None:
    """The pods have what Kueue needs; the test acts as Kueue and admits them."""
    upload_shards(deployment, "queued", 4)
    deployment.submit("queued", labels={"kueue.x-k8s.io/queue-name": "team-a"}, **recorder(1))
    status = deployment.until("queued", lambda s: s.get("reason") == Reason.QUEUED)
    assert status["state"] == "Starting"
    assert "kubectl get workloads" in status["message"]
    pods = deployment.get("pods", "-l", "kueue.x-k8s.io/queue-name=team-a")["items"]
    assert len(pods) == 2
    for pod in pods:
        assert pod["spec"]["schedulingGates"] == [{"name": "kueue.x-k8s.io/admission"}]
        assert pod["metadata"]["labels"]["kueue.x-k8s.io/pod-group-name"] == "queued"
        assert pod["metadata"]["annotations"]["kueue.x-k8s.io/pod-group-total-count"] == "2"
        admit = json.dumps([{"op": "remove", "path": "/spec/schedulingGates"}])
        name = pod["metadata"]["name"]
        deployment.kubectl("-n", deployment.jobs, "patch", "pod", name, "--type=json", "-p", admit)
    deployment.until("queued", is_complete)
    deployment.delete("queued")

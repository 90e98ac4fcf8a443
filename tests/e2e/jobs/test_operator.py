"""The operator on the project's cluster: a job completes despite faults and leaves nothing."""

from __future__ import annotations

import time

import pytest

from e2e.cluster_access.operator_deployment import OperatorDeployment, is_complete

pytestmark = pytest.mark.e2e


def test_job_completes_despite_faults_and_leaves_nothing(
    deployment: OperatorDeployment,
) -> None:
    """Rows 1, 13, 37, 38, 41: worker, server and operator are killed, and the job is suspended."""
    deployment.digits("digits", rounds=8)
    deployment.until("digits", lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    assert deployment.pods("digits") == [
        "digits-server", "digits-worker-0", "digits-worker-1", "digits-worker-2",
    ]  # fmt: skip
    deployment.kubectl("-n", deployment.jobs, "delete", "pod", "digits-worker-1", "--wait=false")
    deployment.kill()
    deployment.start()
    deployment.until("digits", lambda s: s["clients"]["list"][1]["restarts"] == 1)
    deployment.kubectl("-n", deployment.jobs, "delete", "pod", "digits-server", "--wait=false")
    deployment.until("digits", lambda s: s.get("attempt", 0) >= 2)
    deployment.patch("digits", {"runPolicy": {"suspend": True}})
    deployment.until("digits", lambda s: s["state"] == "Suspended")
    deadline = time.monotonic() + 60
    while deployment.pods("digits"):
        assert time.monotonic() < deadline
        time.sleep(1)
    deployment.patch("digits", {"runPolicy": {"suspend": False}})
    status = deployment.until("digits", is_complete)
    assert status["rounds"]["display"] == "8/8"
    assert [entry["round"] for entry in status["history"]] == list(range(1, 9))
    assert status["metrics"]["val_accuracy"] > 0.9
    _, _, key = status["result"]["uri"].removeprefix("s3://").partition("/")
    info = deployment.bucket.head(key)
    assert info is not None
    assert (info.sha256, info.size) == (status["result"]["sha256"], status["result"]["size"])
    deployment.delete("digits")
    deployment.wait_until_gone("digits")
    assert deployment.bucket.head(key) is not None
    # A new job under the same name starts from round 1, with the image from the cache.
    deployment.digits("digits", rounds=1)
    status = deployment.until("digits", is_complete)
    assert [entry["round"] for entry in status["history"]] == [1]
    deployment.delete("digits")

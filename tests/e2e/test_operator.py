"""The operator on the project's cluster: a resource to its end, through faults, nothing left."""

from __future__ import annotations

import time

import pytest

from e2e.stage import Stage, is_complete

pytestmark = pytest.mark.e2e


def test_a_job_runs_to_its_end_through_every_fault_and_leaves_nothing(stage: Stage) -> None:
    """Rows 1, 13, 37, 38, 41: a worker, the server and the operator die; it is suspended."""
    stage.digits("digits", rounds=8)
    stage.until("digits", lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    assert stage.pods("digits") == [
        "digits-server", "digits-worker-0", "digits-worker-1", "digits-worker-2",
    ]  # fmt: skip
    stage.kubectl("-n", stage.jobs, "delete", "pod", "digits-worker-1", "--wait=false")
    stage.kill()
    stage.start()
    stage.until("digits", lambda s: s["clients"]["list"][1]["restarts"] == 1)
    stage.kubectl("-n", stage.jobs, "delete", "pod", "digits-server", "--wait=false")
    stage.until("digits", lambda s: s.get("attempt", 0) >= 2)
    stage.patch("digits", {"runPolicy": {"suspend": True}})
    stage.until("digits", lambda s: s["state"] == "Suspended")
    deadline = time.monotonic() + 60
    while stage.pods("digits"):
        assert time.monotonic() < deadline
        time.sleep(1)
    stage.patch("digits", {"runPolicy": {"suspend": False}})
    status = stage.until("digits", is_complete)
    assert status["rounds"]["display"] == "8/8"
    assert [entry["round"] for entry in status["history"]] == list(range(1, 9))
    assert status["metrics"]["val_accuracy"] > 0.9
    _, _, key = status["result"]["uri"].removeprefix("s3://").partition("/")
    info = stage.bucket.head(key)
    assert info is not None
    assert (info.sha256, info.size) == (status["result"]["sha256"], status["result"]["size"])
    stage.delete("digits")
    stage.nothing_is_left("digits")
    assert stage.bucket.head(key) is not None
    # Again under the same name: afresh, with the image from the cache.
    stage.digits("digits", rounds=1)
    status = stage.until("digits", is_complete)
    assert [entry["round"] for entry in status["history"]] == [1]
    stage.delete("digits")

"""The operator on the project's cluster: a resource to its end, through faults, nothing left."""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from typing import Any

import pytest

from e2e.stage import KEYS, NET, Stage, is_complete
from fedjob.storage.layout import Layout

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
    suspend = '{"spec": {"runPolicy": {"suspend": %s}}}'
    stage.kubectl("-n", stage.jobs, "patch", "fj", "digits", "--type=merge", "-p", suspend % "true")
    stage.until("digits", lambda s: s["state"] == "Suspended")
    deadline = time.monotonic() + 60
    while stage.pods("digits"):
        assert time.monotonic() < deadline
        time.sleep(1)
    stage.kubectl(
        "-n", stage.jobs, "patch", "fj", "digits", "--type=merge", "-p", suspend % "false"
    )
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


def test_every_fault_has_its_reason_and_goes_away_when_it_is_mended(stage: Stage) -> None:
    registry = stage.env["FEDJOB_PUSH_REGISTRY"]
    secret = {"bucket": "jobs", "secretRef": {"name": "absent"}}
    mended = {"base": f"{registry}/fedjob/runtime:0.1.0"}
    source = {"source": {"configMapRef": {"name": "code"}}, "className": "Net"}
    stage.upload("data")
    there = {"uri": f"s3://jobs/{Layout(stage.jobs, 'data').shards}"}
    stage.submit("secret", storage=secret, shards=there)
    stage.submit("bucket", storage={"bucket": "no-such-bucket"})
    stage.submit("shards")
    stage.submit("source", model=source, shards=there)
    stage.submit("base", image={"base": f"{registry}/no/such:1"}, shards=there)
    stage.submit("registry", image={"repository": "localhost:5999/x"}, shards=there)
    reasons = {
        "secret": "CredentialsRefused",
        "bucket": "BucketMissing",
        "shards": "ShardsMissing",
        "source": "SourceInvalid",
        "base": "BaseImageMissing",
        "registry": "RegistryUnreachable",
    }
    for name, reason in reasons.items():
        status = stage.until(name, lambda s, reason=reason: s.get("reason") == reason)  # type: ignore[misc]
        assert ";" in status["message"], status["message"]
        assert not stage.pods(name)
    for name in ("bucket", "registry"):
        stage.delete(name)

    literals = [f"--from-literal={name}={value}" for name, value in KEYS.environment().items()]
    stage.kubectl("-n", stage.jobs, "create", "secret", "generic", "absent", *literals)
    stage.upload("shards")
    code = f"--from-literal=model_def.py={NET}"
    stage.kubectl("-n", stage.jobs, "create", "configmap", "code", code)
    patch = json.dumps({"spec": {"image": mended}})
    stage.kubectl("-n", stage.jobs, "patch", "fj", "base", "--type=merge", "-p", patch)
    for name in ("secret", "shards", "source", "base"):
        stage.until(name, lambda s: bool(s.get("image")))
        stage.delete(name)
    for name in reasons:
        stage.nothing_is_left(name)


def told_fallback(status: Any) -> bool:
    found = status.get("conditions") or []
    return any(c["type"] == "GpuFallback" and c["status"] == "True" for c in found)


def test_workers_wait_for_gpus_or_fall_back(stage: Stage) -> None:
    """One condition tells of each; the nodes of this cluster have no GPUs by themselves."""
    stage.upload("gpu")
    there = {"uri": f"s3://jobs/{Layout(stage.jobs, 'gpu').shards}"}
    stage.submit("waits", workers={"gpu": 9, "gpuFallback": "wait"}, shards=there)
    status = stage.until("waits", lambda s: s.get("reason") == "GpuUnavailable")
    assert "gpuFallback: cpu" in status["message"]
    stage.delete("waits")
    stage.submit("falls", workers={"gpu": 9, "gpuFallback": "cpu"}, shards=there)
    stage.until("falls", told_fallback)
    assert len(stage.pods("falls")) > 1
    stage.delete("falls")


def test_a_worker_reads_its_own_shard_and_has_no_token(stage: Stage) -> None:
    """Rows 38 and 41."""
    stage.digits("own", rounds=1)
    stage.until("own", is_complete)
    url = stage.get("secret", "own-url-worker-0")["data"]["url"]
    address = base64.b64decode(url).decode()
    assert "digits-0.zip" in address
    host = f"http://store.{stage.system}.svc.cluster.local:8333"
    outside = urllib.request.Request(  # noqa: S310 (ours)
        address.replace(host, stage.endpoint), headers={"Host": host.removeprefix("http://")}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(outside) as answer:
        assert answer.read(2) == b"PK"
    for item in stage.get("pods", "-l", "fedjob.dev/job=own")["items"]:
        volumes = item["spec"]["volumes"]
        assert not any("projected" in volume for volume in volumes)
    stage.delete("own")
    stage.nothing_is_left("own")

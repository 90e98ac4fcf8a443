"""What a job names and cannot have: a reason, a fix, and it goes on once that is mended."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.recorder import give_shards, recorder, shard
from e2e.stage import KEYS, NET, Stage, is_complete
from fedjob.reasons import Reason
from fedjob.storage.layout import Layout
from integration.test_image_servers import RegistryServer, docker_config, htpasswd

pytestmark = pytest.mark.e2e


def condition(status: Any, kind: str) -> Any:
    return next(c for c in status["conditions"] if c["type"] == kind)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A registry that wants a password."""
    folder = tmp_path_factory.mktemp("locked")
    with RegistryServer(folder / "r", auth=htpasswd(folder)) as server:
        yield server


def test_every_fault_has_its_reason_and_goes_away_when_it_is_mended(
    stage: Stage, locked: RegistryServer
) -> None:
    """Side by side: what is wrong is told, nothing runs, and mending it outside is enough."""
    registry = stage.env["FEDJOB_PUSH_REGISTRY"]
    give_shards(stage, "data", 4)
    there = {"uri": f"s3://jobs/{Layout(stage.jobs, 'data').shards}"}
    source = {"source": {"configMapRef": {"name": "code"}}, "className": "Net"}
    stage.kubectl(
        "-n", stage.jobs, "create", "secret", "generic", "wrong",
        "--from-literal=AWS_ACCESS_KEY_ID=nobody", "--from-literal=AWS_SECRET_ACCESS_KEY=no",
    )  # fmt: skip
    cases: dict[str, tuple[Reason, dict[str, Any]]] = {
        "secret": (
            Reason.CREDENTIALS_REFUSED,
            {"storage": {"bucket": "jobs", "secretRef": {"name": "absent"}}, "shards": there},
        ),
        "keys": (
            Reason.CREDENTIALS_REFUSED,
            {"storage": {"bucket": "jobs", "secretRef": {"name": "wrong"}}, "shards": there},
        ),
        "bucket": (Reason.BUCKET_MISSING, {"storage": {"bucket": f"{stage.system}-new"}}),
        "shards": (Reason.SHARDS_MISSING, {}),
        "source": (Reason.SOURCE_INVALID, {"model": source, "shards": there}),
        "base": (
            Reason.BASE_IMAGE_MISSING,
            {"image": {"base": f"{registry}/no/such:1"}, "shards": there},
        ),
        "away": (
            Reason.REGISTRY_UNREACHABLE,
            {"image": {"repository": "localhost:5999/x"}, "shards": there},
        ),
        "refused": (
            Reason.REGISTRY_REFUSED,
            {"image": {"repository": f"{locked.name}/x"}, "shards": there},
        ),
    }
    for name, (_, sections) in cases.items():
        # Only what is prepared is looked at: no node takes the pods.
        stage.submit(name, **({"server": {"nodeSelector": {"no": "node"}}} | sections))
    for name, (reason, _) in cases.items():
        status = stage.until(name, lambda s, reason=reason: s.get("reason") == reason)  # type: ignore[misc]
        assert ";" in status["message"], status["message"]
        assert not stage.pods(name)
        assert (Path(__file__).parents[2] / reason.page).exists()

    literals = [f"--from-literal={name}={value}" for name, value in KEYS.environment().items()]
    stage.kubectl("-n", stage.jobs, "create", "secret", "generic", "absent", *literals)
    right = {name: base64.b64encode(v.encode()).decode() for name, v in KEYS.environment().items()}
    patch = json.dumps({"data": right})
    stage.kubectl("-n", stage.jobs, "patch", "secret", "wrong", "--type=merge", "-p", patch)
    made = stage.bucket_named(f"{stage.system}-new")
    made.ensure_bucket()
    for name in ("bucket", "shards"):
        bucket = made if name == "bucket" else stage.bucket
        bucket.put_bytes(Layout(stage.jobs, name).shard("part-0.zip"), shard(4))
    code = f"--from-literal=model_def.py={NET}"
    stage.kubectl("-n", stage.jobs, "create", "configmap", "code", code)
    login = docker_config(locked.name)
    stage.kubectl(
        "-n", stage.jobs, "create", "secret", "generic", "login",
        "--type=kubernetes.io/dockerconfigjson", f"--from-literal=.dockerconfigjson={login}",
    )  # fmt: skip
    stage.patch("refused", {"image": {"pullSecrets": ["login"]}})
    for name in ("base", "away"):
        stage.patch(name, {"image": {"base": None, "repository": None}})
    for name in cases:
        stage.until(name, lambda s: bool(s.get("image")))
        stage.delete(name)
    for name in cases:
        stage.nothing_is_left(name)


def test_a_shard_removed_meanwhile_is_told_and_taken_when_it_is_back(stage: Stage) -> None:
    """The worker that lost its disk cannot fetch it again; the run goes on without it."""
    give_shards(stage, "removed", 4, 8)
    stage.submit("removed", **recorder(500, pause=1.0))
    stage.until("removed", lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    key = Layout(stage.jobs, "removed").shard("part-1.zip")
    data = stage.bucket.get_bytes(key)
    stage.bucket.delete(key)
    stage.kubectl("-n", stage.jobs, "delete", "pod", "removed-worker-1", "--wait=false")
    status = stage.until(
        "removed", lambda s: condition(s, "WorkersReady")["reason"] == Reason.OBJECT_MISSING
    )
    assert "worker-1" in condition(status, "WorkersReady")["message"]
    assert "upload it again" in condition(status, "WorkersReady")["message"]
    number = status["rounds"]["completed"]
    status = stage.until("removed", lambda s: s["rounds"]["completed"] > number)
    assert status["history"][-1]["clients"] == 1
    stage.bucket.put_bytes(key, data)
    # The kubelet waits up to 40 s between the starts by now.
    stage.until("removed", lambda s: s["history"][-1]["clients"] == 2)
    stage.delete("removed")


def test_what_a_quota_refuses_is_told_and_goes_on_when_it_is_raised(stage: Stage) -> None:
    give_shards(stage, "quota", 4, 8, namespace=stage.other)
    quota = ("-n", stage.other, "create", "quota", "few", "--hard=pods=1")
    stage.kubectl(*quota)
    try:
        stage.submit("quota", stage.other, **recorder(1))
        status = stage.until(
            "quota", lambda s: s.get("reason") == Reason.ADMISSION_REFUSED, namespace=stage.other
        )
        assert "exceeded quota" in status["message"]
        assert "allow it" in status["message"]
    finally:
        stage.kubectl("-n", stage.other, "delete", "quota", "few")
    stage.until("quota", is_complete, namespace=stage.other)
    stage.delete("quota", stage.other)

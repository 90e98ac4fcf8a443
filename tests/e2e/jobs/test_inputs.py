"""Missing or refused inputs: each has a reason and a fix, and fixing it continues the job."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster_access.operator_deployment import KEYS, NET, OperatorDeployment, is_complete
from e2e.cluster_access.recorder import recorder, shard, upload_shards
from fedjob.reasons import Reason
from fedjob.storage.layout import Layout
from integration.container_images.test_image_servers import RegistryServer, docker_config, htpasswd
from support.repository import ROOT

pytestmark = pytest.mark.e2e


def condition(status: Any, kind: str) -> Any:
    return next(c for c in status["conditions"] if c["type"] == kind)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A registry that requires a password."""
    folder = tmp_path_factory.mktemp("locked")
    with RegistryServer(folder / "r", auth=htpasswd(folder)) as server:
        yield server


def test_every_missing_input_has_its_reason_and_clears_when_fixed(
    deployment: OperatorDeployment, locked: RegistryServer
) -> None:
    """In parallel: the status names the cause, no pod runs, and fixing the cause is enough."""
    registry = deployment.env["FEDJOB_PUSH_REGISTRY"]
    upload_shards(deployment, "data", 4)
    shards = {"uri": f"s3://jobs/{Layout(deployment.jobs, 'data').shards}"}
    source = {"source": {"configMapRef": {"name": "code"}}, "className": "Net"}
    deployment.kubectl(
        "-n", deployment.jobs, "create", "secret", "generic", "wrong",
        "--from-literal=AWS_ACCESS_KEY_ID=nobody", "--from-literal=AWS_SECRET_ACCESS_KEY=no",
    )  # fmt: skip
    literals = [f"--from-literal={name}={value}" for name, value in KEYS.environment().items()]
    deployment.kubectl("-n", deployment.jobs, "create", "secret", "generic", "own", *literals)
    cases: dict[str, tuple[Reason, dict[str, Any]]] = {
        "secret": (
            Reason.CREDENTIALS_REFUSED,
            {"storage": {"bucket": "jobs", "secretRef": {"name": "absent"}}, "shards": shards},
        ),
        "keys": (
            Reason.CREDENTIALS_REFUSED,
            {"storage": {"bucket": "jobs", "secretRef": {"name": "wrong"}}, "shards": shards},
        ),
        # Another bucket than the operator's needs keys of the job's own.
        "bucket": (
            Reason.BUCKET_MISSING,
            {"storage": {"bucket": f"{deployment.system}-new", "secretRef": {"name": "own"}}},
        ),
        "shards": (Reason.SHARDS_MISSING, {}),
        "source": (Reason.SOURCE_INVALID, {"model": source, "shards": shards}),
        "base": (
            Reason.BASE_IMAGE_MISSING,
            {"image": {"base": f"{registry}/no/such:1"}, "shards": shards},
        ),
        "away": (
            Reason.REGISTRY_UNREACHABLE,
            {"image": {"repository": "localhost:5999/x"}, "shards": shards},
        ),
        "refused": (
            Reason.REGISTRY_REFUSED,
            {"image": {"repository": f"{locked.name}/x"}, "shards": shards},
        ),
    }
    for name, (_, sections) in cases.items():
        # The test covers only the preparation: the pods cannot be scheduled.
        deployment.submit(name, **({"server": {"nodeSelector": {"no": "node"}}} | sections))
    for name, (reason, _) in cases.items():
        status = deployment.until(name, lambda s, reason=reason: s.get("reason") == reason)  # type: ignore[misc]
        assert ";" in status["message"], status["message"]
        assert not deployment.pods(name)
        assert (ROOT / reason.page).exists()

    deployment.kubectl("-n", deployment.jobs, "create", "secret", "generic", "absent", *literals)
    right = {name: base64.b64encode(v.encode()).decode() for name, v in KEYS.environment().items()}
    patch = json.dumps({"data": right})
    deployment.kubectl(
        "-n", deployment.jobs, "patch", "secret", "wrong", "--type=merge", "-p", patch
    )
    made = deployment.bucket_named(f"{deployment.system}-new")
    made.ensure_bucket()
    for name in ("bucket", "shards"):
        bucket = made if name == "bucket" else deployment.bucket
        bucket.put_bytes(Layout(deployment.jobs, name).shard("part-0.zip"), shard(4))
    code = f"--from-literal=model_def.py={NET}"
    deployment.kubectl("-n", deployment.jobs, "create", "configmap", "code", code)
    login = docker_config(locked.name)
    deployment.kubectl(
        "-n", deployment.jobs, "create", "secret", "generic", "login",
        "--type=kubernetes.io/dockerconfigjson", f"--from-literal=.dockerconfigjson={login}",
    )  # fmt: skip
    deployment.patch("refused", {"image": {"pullSecrets": ["login"]}})
    for name in ("base", "away"):
        deployment.patch(name, {"image": {"base": None, "repository": None}})
    for name in cases:
        deployment.until(name, lambda s: bool(s.get("image")))
        deployment.delete(name)
    for name in cases:
        deployment.wait_until_gone(name)


def test_removed_shard_is_reported_and_used_once_it_is_back(
    deployment: OperatorDeployment,
) -> None:
    """The replaced worker cannot download its shard; the run continues without it."""
    upload_shards(deployment, "removed", 4, 8)
    deployment.submit("removed", **recorder(500, pause=1.0))
    deployment.until("removed", lambda s: s.get("rounds", {}).get("completed", 0) >= 1)
    key = Layout(deployment.jobs, "removed").shard("part-1.zip")
    data = deployment.bucket.get_bytes(key)
    deployment.bucket.delete(key)
    deployment.kubectl("-n", deployment.jobs, "delete", "pod", "removed-worker-1", "--wait=false")
    status = deployment.until(
        "removed", lambda s: condition(s, "WorkersReady")["reason"] == Reason.OBJECT_MISSING
    )
    assert "worker-1" in condition(status, "WorkersReady")["message"]
    assert "upload it again" in condition(status, "WorkersReady")["message"]
    number = status["rounds"]["completed"]
    status = deployment.until("removed", lambda s: s["rounds"]["completed"] > number)
    assert status["history"][-1]["clients"] == 1
    deployment.bucket.put_bytes(key, data)
    # The kubelet's restart backoff has grown to up to 40 s by now.
    deployment.until("removed", lambda s: s["history"][-1]["clients"] == 2)
    deployment.delete("removed")


def test_quota_refusal_is_reported_and_clears_when_raised(deployment: OperatorDeployment) -> None:
    upload_shards(deployment, "quota", 4, 8, namespace=deployment.other)
    quota = ("-n", deployment.other, "create", "quota", "few", "--hard=pods=1")
    deployment.kubectl(*quota)
    try:
        deployment.submit("quota", deployment.other, **recorder(1))
        status = deployment.until(
            "quota",
            lambda s: s.get("reason") == Reason.ADMISSION_REFUSED,
            namespace=deployment.other,
        )
        assert "exceeded quota" in status["message"]
        assert "allow it" in status["message"]
    finally:
        deployment.kubectl("-n", deployment.other, "delete", "quota", "few")
    deployment.until("quota", is_complete, namespace=deployment.other)
    deployment.delete("quota", deployment.other)

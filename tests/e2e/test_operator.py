"""The operator on the project's cluster: a resource to its end, through faults, nothing left.

The operator runs outside, from this tree, and serves namespaces of its own; store and pods are in
the cluster. `make cluster images` comes first.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedjob.spec.run import StoreLocation
from fedjob.storage.bucket import Bucket
from fedjob.storage.credentials import Credentials
from fedjob.storage.layout import Layout

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
KEYS = Credentials("operator-test", "operator-test-secret")
LONG = 300.0
NET = (
    "from torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n        return x\n"
)
STORE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: store}
spec:
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      containers:
      - name: store
        image: IMAGE
        env:
        - {name: AWS_ACCESS_KEY_ID, value: operator-test}
        - {name: AWS_SECRET_ACCESS_KEY, value: operator-test-secret}
        readinessProbe: {httpGet: {path: /healthz, port: 8333}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
      securityContext: {fsGroup: 10001}
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: store}
spec:
  type: NodePort
  selector: {app: store}
  ports: [{port: 8333}]
"""


def settings_of_cluster() -> dict[str, str]:
    """What tests/cluster/env tells."""
    script = 'eval "$(tests/cluster/env)"; env -0'
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, check=True)
    pairs = (item.partition("=") for item in done.stdout.decode().split("\0") if item)
    return {name: value for name, _, value in pairs}


class Stage:
    """A namespace pair in the cluster, a store, and an operator that serves them."""

    def __init__(self, folder: Path) -> None:
        self.env = settings_of_cluster()
        name = uuid.uuid4().hex[:6]
        self.system, self.jobs = f"op-{name}-system", f"op-{name}-jobs"
        self._log = folder / "operator.log"
        self._process: subprocess.Popen[bytes] | None = None

    def kubectl(self, *arguments: str, given: str = "", check: bool = True) -> str:
        done = subprocess.run(
            ["kubectl", *arguments],
            input=given.encode(),
            env=self.env,
            capture_output=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def set_up(self) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
        self.kubectl("create", "namespace", self.system)
        self.kubectl("create", "namespace", self.jobs)
        restricted = "pod-security.kubernetes.io/enforce=restricted"
        self.kubectl("label", "namespace", self.jobs, restricted)
        image = f"{self.env['FEDJOB_CLUSTER_REGISTRY']}/fedjob/store:0.1.0"
        self.kubectl("-n", self.system, "apply", "-f", "-", given=STORE.replace("IMAGE", image))
        self.kubectl("-n", self.system, "rollout", "status", "deployment/store", "--timeout=180s")
        port = self.kubectl(
            "-n", self.system, "get", "service", "store", "-o",
            "jsonpath={.spec.ports[0].nodePort}",
        )  # fmt: skip
        address = self.kubectl(
            "get", "nodes", "-o",
            "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}",
        )  # fmt: skip
        self.endpoint = f"http://{address}:{port}"
        self.bucket = Bucket(StoreLocation(endpoint=self.endpoint, bucket="jobs"), KEYS)
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = f"{address},127.0.0.1,localhost"
        self.bucket.ensure_bucket()

    def start(self) -> None:
        registry = self.env["FEDJOB_PUSH_REGISTRY"]
        settings = {
            "NAMESPACES": self.jobs,
            "NAMESPACE": self.system,
            "STORE_BUCKET": "jobs",
            "STORE_ENDPOINT": f"http://store.{self.system}.svc.cluster.local:8333",
            "STORE_EXTERNAL_ENDPOINT": self.endpoint,
            "BASE_IMAGE": f"{registry}/fedjob/runtime:0.1.0",
            "REPOSITORY": f"{registry}/{self.jobs}",
            "REGISTRY_INSECURE": "true",
            "POLL": "proxy",
            "HTTP_PORT": "0",
        }
        environment = {
            **self.env,
            **os.environ,
            **KEYS.environment(),
            **{f"FEDJOB_{name}": value for name, value in settings.items()},
            "KUBECONFIG": self.env["KUBECONFIG"],
            "PYTHONPATH": os.pathsep.join(
                str(ROOT / part) for part in ("sdk", "operator", "images/runtime")
            ),
        }
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "fedjob_operator.main"]
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def tear_down(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
        self.kubectl("delete", "namespace", self.jobs, self.system, "--wait=false", check=False)

    def submit(self, name: str, **spec: Any) -> None:
        model = {"className": "Net", "source": {"inline": NET}}
        body = {
            "apiVersion": "fedjob.dev/v1alpha1",
            "kind": "FederatedJob",
            "metadata": {"name": name},
            "spec": {"model": model, "workers": {"gpu": 0}, **spec},
        }
        self.kubectl("-n", self.jobs, "apply", "-f", "-", given=yaml.safe_dump(body))

    def digits(self, name: str, rounds: int = 5) -> None:
        """The example, with its shards."""
        self.upload(name)
        text = (ROOT / "examples/digits/job.yaml").read_text()
        spec = yaml.safe_load(text)["spec"]
        spec["federation"]["numRounds"] = rounds
        spec["workers"] = {"gpu": 0, "maxRestarts": 10}
        self.submit(name, **spec)

    def upload(self, name: str) -> None:
        layout = Layout(self.jobs, name)
        for path in sorted((ROOT / "examples/digits/shards").glob("*.zip")):
            self.bucket.upload_file(path, layout.shard(path.name))

    def get(self, *what: str) -> Any:
        return json.loads(self.kubectl("-n", self.jobs, "get", *what, "-o", "json"))

    def status(self, name: str) -> Any:
        return self.get("fj", name).get("status", {})

    def pods(self, name: str) -> list[str]:
        items = self.get("pods", "-l", f"fedjob.dev/job={name}")["items"]
        return sorted(item["metadata"]["name"] for item in items)

    def until(self, name: str, is_so: Callable[[Any], bool], seconds: float = LONG) -> Any:
        """The status once it is so."""
        deadline = time.monotonic() + seconds
        while not is_so(status := self.status(name)):
            if time.monotonic() > deadline:
                tail = self._log.read_text()[-2000:]
                raise AssertionError(f"{name} never became so: {json.dumps(status)}\n{tail}")
            time.sleep(1)
        return status

    def delete(self, name: str) -> None:
        self.kubectl("-n", self.jobs, "delete", "fj", name, "--timeout=60s")

    def nothing_is_left(self, name: str) -> None:
        deadline = time.monotonic() + 90
        kinds = "pods,services,secrets,configmaps,networkpolicies"
        while left := self.get(kinds, "-l", f"fedjob.dev/job={name}")["items"]:
            assert time.monotonic() < deadline, [item["metadata"]["name"] for item in left]
            time.sleep(1)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("operator"))
    try:
        made.set_up()
        made.start()
        yield made
    finally:
        made.tear_down()


def is_complete(status: Any) -> bool:
    assert status.get("state") != "Failed", status["message"]
    return bool(status.get("state") == "Complete")


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

"""An operator from this tree, with its own store and namespaces in the cluster.

The operator runs outside the cluster, so that a test can kill it and read its log; store and pods
run inside. Needs `make cluster images`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import yaml
from kubernetes import client, config

from e2e.cluster_access.kube import cluster_environment, kubectl
from fedjob import __version__
from fedjob.protocol.config import StoreLocation
from fedjob.storage.bucket import Bucket
from fedjob.storage.credentials import Credentials
from fedjob.storage.errors import StoreUnreachableError
from fedjob.storage.layout import Layout
from support.repository import ROOT

KEYS = Credentials("operator-test", "operator-test-secret")
LONG = 600.0
"""Timeout in seconds for what takes tens of seconds on an idle machine."""
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
        readinessProbe: {httpGet: {path: /healthz, port: 8333}, periodSeconds: 1, timeoutSeconds: 5}
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


def pip_settings() -> dict[str, str]:
    """This machine's pip index settings, as PIP_* variables for builds inside Docker."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return {
        f"PIP_{name.upper().replace('-', '_')}": value
        for name, value in re.findall(r"^global\.([a-z-]+)='(.*)'$", listed, re.MULTILINE)
        if name in ("index-url", "extra-index-url", "trusted-host")
    }


def digits_shards() -> list[Path]:
    """Shards and validation data of examples/digits, created by `make e2e` and `make chaos`."""
    folder = ROOT / "examples/digits/shards"
    found = sorted(folder.glob("*.zip"))
    assert found, f"{folder} is empty: run python examples/digits/make_shards.py"
    return found


class OperatorDeployment:
    """Namespaces in the cluster, a store, and an operator that serves them.

    Attributes:
        system: The store's namespace.
        jobs: The default namespace of jobs.
        other: A second namespace for jobs, whose name has the maximal length of 63 characters.
    """

    def __init__(self, folder: Path) -> None:
        self.env = cluster_environment()
        name = uuid.uuid4().hex[:6]
        self.system, self.jobs = f"op-{name}-system", f"op-{name}-jobs"
        self.other = f"op-{name}-".ljust(63, "n")
        self._log = folder / "operator.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._client = config.new_client_from_config(self.env["KUBECONFIG"])
        self._api = client.CustomObjectsApi(self._client)

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[Self]:
        """A deployment with its operator running; everything is removed at the end."""
        made = cls(folder)
        try:
            made.set_up()
            made.start()
            yield made
        finally:
            made.tear_down()

    def kubectl(self, *arguments: str, given: str = "", check: bool = True) -> str:
        return kubectl(self.env, *arguments, given=given, check=check)

    @property
    def store(self) -> str:
        """The store's manifest, with the placeholder IMAGE."""
        return STORE

    def set_up(self) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
        self.kubectl("create", "namespace", self.system)
        for namespace in (self.jobs, self.other):
            self.kubectl("create", "namespace", namespace)
            restricted = "pod-security.kubernetes.io/enforce=restricted"
            self.kubectl("label", "namespace", namespace, restricted)
        image = f"{self.env['FEDJOB_CLUSTER_REGISTRY']}/fedjob/store:{__version__}"
        store = self.store.replace("IMAGE", image)
        self.kubectl("-n", self.system, "apply", "-f", "-", given=store)
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
        self.bucket = self.bucket_named("jobs")
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = f"{address},127.0.0.1,localhost"
        self._make_bucket()

    def _make_bucket(self) -> None:
        """Creates the bucket; retries, since the node port works only after some seconds."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.bucket.ensure_bucket()
            except StoreUnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def bucket_named(self, name: str) -> Bucket:
        """A client of a bucket of the store, which need not exist."""
        return Bucket(StoreLocation(endpoint=self.endpoint, bucket=name), KEYS)

    def start(self) -> None:
        registry = self.env["FEDJOB_PUSH_REGISTRY"]
        settings = {
            "NAMESPACES": f"{self.jobs},{self.other}",
            "NAMESPACE": self.system,
            "STORE_BUCKET": "jobs",
            "STORE_ENDPOINT": f"http://store.{self.system}.svc.cluster.local:8333",
            "STORE_EXTERNAL_ENDPOINT": self.endpoint,
            "BASE_IMAGE": f"{registry}/fedjob/runtime:{__version__}",
            "REPOSITORY": f"{registry}/{self.jobs}",
            "REGISTRY_INSECURE": "true",
            "ALLOWED_REGISTRIES": "*",  # tests name registries that are locked, or not there
            "POLL": "proxy",
            "HTTP_PORT": "0",
            # URLs are renewed at half of this, so a test sees a renewal within two minutes.
            "URL_SECONDS": "240",
        }
        environment = {
            **self.env,
            **pip_settings(),
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
        self._client.rest_client.pool_manager.clear()
        self._client.close()
        made = (self.jobs, self.other, self.system)
        self.kubectl("delete", "namespace", *made, "--wait=false", check=False)

    def submit(
        self,
        name: str,
        namespace: str = "",
        labels: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> None:
        model = {"className": "Net", "source": {"inline": NET}}
        body = {
            "apiVersion": "fedjob.dev/v1alpha1",
            "kind": "FederatedJob",
            "metadata": {"name": name, "labels": dict(labels or {})},
            "spec": {"model": model, "workers": {"gpu": 0}, **spec},
        }
        where = namespace or self.jobs
        self.kubectl("-n", where, "apply", "-f", "-", given=yaml.safe_dump(body))

    def digits(self, name: str, rounds: int = 5) -> None:
        """Uploads the shards of examples/digits and submits its job."""
        self.upload(name)
        text = (ROOT / "examples/digits/job.yaml").read_text()
        spec = yaml.safe_load(text)["spec"]
        spec["federation"]["numRounds"] = rounds
        spec["workers"] = {"gpu": 0, "maxRestarts": 10}
        self.submit(name, **spec)

    def upload(self, name: str) -> None:
        layout = Layout(self.jobs, name)
        for path in digits_shards():
            self.bucket.upload_file(path, layout.shard(path.name))

    def patch(self, name: str, spec: dict[str, Any]) -> None:
        """Changes a job's spec by a merge patch."""
        patch = json.dumps({"spec": spec})
        self.kubectl("-n", self.jobs, "patch", "fj", name, "--type=merge", "-p", patch)

    def get(self, *what: str, namespace: str = "") -> Any:
        where = namespace or self.jobs
        return json.loads(self.kubectl("-n", where, "get", *what, "-o", "json"))

    def status(self, name: str, namespace: str = "") -> Any:
        # Polled constantly, so not through kubectl, whose start takes 0.1 s of CPU.
        found = self._api.get_namespaced_custom_object(
            "fedjob.dev", "v1alpha1", namespace or self.jobs, "federatedjobs", name
        )
        return found.get("status", {})

    def pods(self, name: str) -> list[str]:
        items = self.get("pods", "-l", f"fedjob.dev/job={name}")["items"]
        return sorted(item["metadata"]["name"] for item in items)

    def until(
        self,
        name: str,
        is_so: Callable[[Any], bool],
        seconds: float = LONG,
        namespace: str = "",
    ) -> Any:
        """Waits until the status satisfies `is_so`, and returns it."""
        deadline = time.monotonic() + seconds
        while not is_so(status := self.status(name, namespace)):
            ended = self._process is not None and self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                report = self._diagnostics(name, namespace)
                raise AssertionError(f"{name} did not reach the expected status\n{report}")
            time.sleep(0.5)
        return status

    def _diagnostics(self, name: str, namespace: str) -> str:
        """The job's status, the operator's log and the pods' states and logs."""
        where = namespace or self.jobs
        parts = [json.dumps(self.status(name, namespace), indent=1), self._log.read_text()[-2000:]]
        parts += self._pod_logs(f"fedjob.dev/job={name}", where)
        parts.append(self.store_log())
        return "\n".join(parts)

    def store_log(self) -> str:
        """The state and log of the store's pod."""
        return "\n".join(self._pod_logs("app=store", self.system))

    def _pod_logs(self, selector: str, namespace: str) -> Iterator[str]:
        for pod in self.get("pods", "-l", selector, namespace=namespace)["items"]:
            name = pod["metadata"]["name"]
            yield f"{name}: {json.dumps(pod['status'])}"
            for before in ("true", "false"):
                which = ("logs", name, "--tail=25", f"--previous={before}")
                yield self.kubectl("-n", namespace, *which, check=False)

    def delete(self, name: str, namespace: str = "") -> None:
        self.kubectl("-n", namespace or self.jobs, "delete", "fj", name, "--timeout=60s")

    def wait_until_gone(self, name: str, namespace: str = "") -> None:
        """Waits until no child of the job exists any more."""
        deadline = time.monotonic() + 90
        kinds = "pods,services,secrets,configmaps,networkpolicies"
        selected = (kinds, "-l", f"fedjob.dev/job={name}")
        while left := self.get(*selected, namespace=namespace)["items"]:
            assert time.monotonic() < deadline, [item["metadata"]["name"] for item in left]
            time.sleep(1)


def is_complete(status: Any) -> bool:
    assert status.get("state") != "Failed", status["message"]
    return bool(status.get("state") == "Complete")

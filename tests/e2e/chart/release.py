"""A release of the chart on the cluster: installed by helm, read by kubectl."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from cluster.chart import Object, find_helm
from support.repository import ROOT

KUBECONFIG = ROOT / ".cache" / "kubeconfig"
REGISTRY = os.environ.get("FEDJOB_CLUSTER_REGISTRY", "fedjob-registry:5001")
PUSH_REGISTRY = os.environ.get("FEDJOB_PUSH_REGISTRY", "localhost:5001")
CRD = "federatedjobs.fedjob.dev"
NODE = "fedjob-worker"
PATIENCE = 240.0
"""Timeout in seconds for everything on the cluster."""


def run(
    *command: str | Path, stdin: str | None = None, check: bool = True, warnings: bool = False
) -> str:
    """Runs a command and returns its output; a failure shows the output."""
    done = subprocess.run(
        [str(c) for c in command],
        capture_output=True,
        text=True,
        input=stdin,
        env={**os.environ, "KUBECONFIG": str(KUBECONFIG)},
    )
    if check and done.returncode:
        pytest.fail(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout + (done.stderr if warnings else "")


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
    return run("kubectl", *arguments, stdin=stdin, check=check)


def get(*arguments: str) -> Any:
    return json.loads(kubectl("get", *arguments, "-o", "json"))


@dataclass
class Release:
    """A release of the chart, in its own namespaces."""

    name: str
    namespace: str
    jobs: str
    values: dict[str, Any]
    notes: str = ""

    def helm(self, verb: str, *arguments: str | Path, **values: Any) -> str:
        """Runs `helm install` or `helm upgrade` with the release's values and `values`."""
        output = run(
            *(find_helm(), verb, self.name, *arguments, "-n", self.namespace, "-f", "-"),
            *("--wait", "--timeout", f"{PATIENCE:.0f}s", "--take-ownership"),
            stdin=json.dumps({**self.values, **values}),
            warnings=True,
        )
        assert "PodSecurity" not in output
        return output

    def secret(self, name: str) -> dict[str, str]:
        data = get("secret", name, "-n", self.namespace)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def can(self, verb: str, resource: str, namespace: str) -> bool:
        """Whether RBAC allows this to the operator, by `kubectl auth can-i`."""
        account = f"system:serviceaccount:{self.namespace}:{self.name}-operator"
        plain, _, sub = resource.partition("/")
        asked = ["can-i", verb, plain, "-n", namespace, f"--as={account}"]
        answer = kubectl("auth", *asked, f"--subresource={sub}", check=False)
        return answer.split()[-1] == "yes"

    @contextlib.contextmanager
    def forward(self, service: str, port: int) -> Iterator[int]:
        """Forwards a port of this machine to the Service."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            local = int(free.getsockname()[1])
        command = ["kubectl", "-n", self.namespace, "port-forward", f"service/{service}"]
        with subprocess.Popen(
            [*command, f"{local}:{port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "KUBECONFIG": str(KUBECONFIG)},
        ) as process:
            try:
                assert process.stdout is not None
                assert "Forwarding" in process.stdout.readline()
                yield local
            finally:
                process.terminate()

    @contextlib.contextmanager
    def s3(self) -> Iterator[Any]:
        """An S3 client with the store's keys; it retries, since volumes open after S3 does."""
        keys = self.secret(f"{self.name}-store")
        with self.forward(f"{self.name}-store", 8333) as port:
            yield boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{port}",
                region_name="us-east-1",
                aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
                config=Config(retries={"max_attempts": 12, "mode": "standard"}),
            )

    def pod(self, component: str) -> Object:
        """The component's one pod that is not being deleted."""
        found = get(
            *("pods", "-n", self.namespace, "-l"),
            f"app.kubernetes.io/name=fedjob-{component},app.kubernetes.io/instance={self.name}",
        )["items"]
        [pod] = [p for p in found if "deletionTimestamp" not in p["metadata"]]
        return pod  # type: ignore[no-any-return]


def namespace(name: str) -> None:
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/warn=restricted")


def holder(release: Release, expected: str) -> str:
    """The holder of the Lease, once it is the expected one or after PATIENCE."""
    ends = time.monotonic() + PATIENCE
    while True:
        lease = get("lease", "fedjob-operator", "-n", release.namespace)
        found = str(lease["spec"].get("holderIdentity"))
        if found == expected or time.monotonic() > ends:
            return found
        time.sleep(0.5)


def wait_for_state(where: str, state: str) -> None:
    """Waits for the state; fails with `kubectl describe` if the job ends in another one."""
    ends = time.monotonic() + 2 * PATIENCE
    while True:
        found = get("federatedjob", "digits", "-n", where).get("status", {}).get("state")
        if found == state:
            return
        over = found in {"Failed", "Complete"} or time.monotonic() > ends
        assert not over, kubectl("describe", "federatedjob", "digits", "-n", where)
        time.sleep(1)


def remaining_objects(release: Release) -> list[str]:
    """The objects of a release, of any kind, that are still in the cluster."""
    kinds = kubectl("api-resources", "--verbs=list", "-o", "name").split()
    wanted = [k for k in kinds if k not in {"events", "events.events.k8s.io", "componentstatuses"}]
    ends = time.monotonic() + PATIENCE
    while True:
        found = get(",".join(wanted), "-A", "-l", f"app.kubernetes.io/instance={release.name}")[
            "items"
        ]
        names = [f"{f['kind']}/{f['metadata']['name']}" for f in found]
        # Pods exist for their grace period, endpoints for a moment after their Service.
        settled = {"Pod", "EndpointSlice", "Endpoints", "ReplicaSet", "ControllerRevision"}
        if not settled & {f["kind"] for f in found} or time.monotonic() > ends:
            return sorted(set(names))
        time.sleep(1)

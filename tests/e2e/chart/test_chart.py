"""The chart on the project's cluster: installed, used, upgraded and uninstalled without residue.

One release for all tests, in namespaces that enforce Pod Security `restricted`. Needs the cluster
(`make cluster`) with the project's images in its registry (`make images`).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config

from cluster.chart import CHART, Object, find_helm
from e2e.cluster_access.kube import Kube
from support.repository import ROOT

pytestmark = pytest.mark.e2e

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


@pytest.fixture(scope="module", autouse=True)
def crd() -> Iterator[None]:
    """Restores the CRD's metadata, since other tests rely on this cluster-wide object.

    A CRD that this module installed stays, without the labels that mark the release as its owner.
    """
    before = kubectl("get", "crd", CRD, "--ignore-not-found", "-o", "json")
    meta = json.loads(before)["metadata"] if before else {}
    yield
    now = get("crd", CRD)["metadata"]
    fields = {
        name: dict.fromkeys(now.get(name, {})) | meta.get(name, {})
        for name in ("annotations", "labels")
    }
    kubectl("patch", "crd", CRD, "--type=merge", "-p", json.dumps({"metadata": fields}))


@pytest.fixture(scope="module")
def volume() -> Iterator[str]:
    """The storage class of one local volume on a node."""
    name = f"chart-{uuid.uuid4().hex[:8]}"
    folder = f"/var/lib/{name}"
    run("docker", "exec", NODE, "mkdir", folder)
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": name,
            "local": {"path": folder},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {
                                    "key": "kubernetes.io/hostname",
                                    "operator": "In",
                                    "values": [NODE],
                                }
                            ]
                        }
                    ]
                }
            },
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(body))
    yield name
    kubectl("delete", "pv", name, "--wait=false")
    run("docker", "exec", NODE, "rm", "-rf", folder)


@pytest.fixture(scope="module")
def registry_image() -> str:
    """The image of the cluster's own registry, pushed to where nodes can pull it."""
    image = run("docker", "inspect", "-f", "{{.Image}}", "fedjob-registry").strip()
    run("docker", "tag", image, f"{PUSH_REGISTRY}/e2e/registry:2")
    run("docker", "push", "-q", f"{PUSH_REGISTRY}/e2e/registry:2")
    return "e2e/registry"


@pytest.fixture(scope="module")
def release(volume: str, registry_image: str) -> Iterator[Release]:
    """The chart in namespaced mode, with its embedded store and registry."""
    mark = uuid.uuid4().hex[:6]
    release = Release(
        name=f"fedjob-{mark}",
        namespace=f"chart-{mark}",
        jobs=f"chart-{mark}-jobs",
        values={
            "imageRegistry": REGISTRY,
            "namespaces": [f"chart-{mark}-jobs"],
            "operator": {"image": {"pullPolicy": "Always"}},
            "store": {
                "enabled": True,
                "image": {"pullPolicy": "Always"},
                "persistence": {"storageClass": volume, "size": "1Gi"},
            },
            "registry": {
                "enabled": True,
                "image": {"repository": registry_image},
                "persistence": {"enabled": False},
            },
        },
    )
    namespace(release.namespace)
    namespace(release.jobs)
    try:
        release.notes = release.helm("install", CHART)
        yield release
    finally:
        run(find_helm(), "uninstall", release.name, "-n", release.namespace, check=False)
        kubectl("delete", "namespace", release.namespace, release.jobs, "--wait=false")


def test_operator_is_available_and_notes_name_the_next_steps(release: Release) -> None:
    deployment = get("deployment", f"{release.name}-operator", "-n", release.namespace)
    conditions = {c["type"]: c["status"] for c in deployment["status"]["conditions"]}
    assert conditions["Available"] == "True"
    assert f"serves the namespaces {release.jobs}" in release.notes
    assert "kubectl apply -f job.yaml" in release.notes
    assert "Missing" not in release.notes


def test_operator_holds_the_lease_and_serves_health_and_metrics(release: Release) -> None:
    with release.forward(f"{release.name}-operator", 8080) as port:

        def answer(path: str) -> str:
            url = f"http://127.0.0.1:{port}{path}"
            with urllib.request.urlopen(url) as found:
                return str(found.read().decode())

        assert answer("/healthz").startswith("ok")
        assert "fedjob_operator_leader 1.0" in answer("/metrics")
    lease = get("lease", "fedjob-operator", "-n", release.namespace)
    assert lease["spec"]["holderIdentity"] == release.pod("operator")["metadata"]["name"]


CHILDREN = ["pods", "services", "secrets", "configmaps", "networkpolicies.networking.k8s.io"]
ALLOWED = [
    *((verb, "federatedjobs.fedjob.dev") for verb in ("get", "list", "watch", "delete")),
    ("patch", "federatedjobs.fedjob.dev/status"),
    *((verb, what) for what in CHILDREN for verb in ("list", "watch", "create", "patch", "delete")),
    ("create", "events"),
]
FORBIDDEN = [
    *((verb, "federatedjobs.fedjob.dev") for verb in ("create", "patch", "update")),
    ("create", "pods/exec"),
    ("get", "pods/proxy"),
    ("get", "pods/log"),
    ("deletecollection", "pods"),
    ("create", "serviceaccounts/token"),
    ("create", "roles.rbac.authorization.k8s.io"),
    ("create", "deployments.apps"),
    ("list", "persistentvolumeclaims"),
]


def test_operator_has_the_rights_it_needs_in_its_namespaces(release: Release) -> None:
    refused = [ask for ask in ALLOWED if not release.can(*ask, release.jobs)]
    assert refused == []
    assert release.can("list", "nodes", release.jobs)


def test_operator_has_no_other_rights(release: Release) -> None:
    assert [ask for ask in FORBIDDEN if release.can(*ask, release.jobs)] == []
    elsewhere = [
        (verb, what, where)
        for where in ("default", "kube-system", release.namespace)
        for verb, what in (("list", "secrets"), ("create", "pods"), ("list", CRD))
        if release.can(verb, what, where)
    ]
    assert elsewhere == []


def test_cluster_mode_serves_every_namespace(release: Release) -> None:
    wide = Release(
        name="fedjob-wide",
        namespace=release.jobs,
        jobs="default",
        values={
            "imageRegistry": REGISTRY,
            "operator": {"replicas": 0},
            "crds": {"install": False},
        },
    )
    try:
        notes = wide.helm("install", CHART)
        assert "every namespace" in notes
        assert "storage.bucket" in notes
        assert [ask for ask in ALLOWED if not wide.can(*ask, "default")] == []
        assert [ask for ask in FORBIDDEN if wide.can(*ask, "default")] == []
    finally:
        run(find_helm(), "uninstall", wide.name, "-n", wide.namespace, check=False)
    assert remaining_objects(wide) == []


def test_store_keeps_models_when_its_pod_is_deleted(release: Release) -> None:
    with release.s3() as client:
        client.put_object(Bucket="fedjob", Key="model", Body=b"weights")
    gone = release.pod("store")["metadata"]
    kubectl("delete", "pod", gone["name"], "-n", release.namespace)
    kubectl(
        *("rollout", "status", f"statefulset/{release.name}-store", "-n", release.namespace),
        f"--timeout={PATIENCE:.0f}s",
    )
    assert release.pod("store")["metadata"]["uid"] != gone["uid"]
    with release.s3() as client:
        assert client.get_object(Bucket="fedjob", Key="model")["Body"].read() == b"weights"


def test_node_pulls_from_the_embedded_registry(release: Release) -> None:
    """With hosts.toml and the CA on the node, as docs/how-to/install.md describes."""
    service = f"{release.name}-registry"
    host = f"{service}.{release.namespace}.svc:5000"
    address = get("service", service, "-n", release.namespace)["spec"]["clusterIP"]
    ca = release.secret(f"{service}-tls")["ca.crt"]
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    with release.forward(service, 5000) as port:
        trusting = ssl.create_default_context(cadata=ca)
        with urllib.request.urlopen(f"https://localhost:{port}/v2/", context=trusting) as answer:
            assert answer.status == 200
        pushed = f"localhost:{port}/probe:1"
        run("docker", "tag", f"{PUSH_REGISTRY}/fedjob/store:{version}", pushed)
        try:
            run("docker", "push", "-q", pushed)
        finally:
            run("docker", "rmi", pushed)
    folder = f"/etc/containerd/certs.d/{host}"
    hosts = f'[host."https://{host}"]\n  ca = "{folder}/ca.crt"\n'
    known = f"{address} {host.partition(':')[0]}"
    notes = release.notes.replace("CLUSTER-IP", address)
    assert "".join(hosts.split()) in "".join(notes.split())
    assert known in notes
    run("docker", "exec", NODE, "mkdir", "-p", folder)
    try:
        for file, text in (("ca.crt", ca), ("hosts.toml", hosts)):
            run("docker", "exec", "-i", NODE, "tee", f"{folder}/{file}", stdin=text)
        run("docker", "exec", "-i", NODE, "tee", "-a", "/etc/hosts", stdin=f"{known}\n")
        context = release.pod("store")["spec"]["securityContext"]
        container = release.pod("store")["spec"]["containers"][0]["securityContext"]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "probe", "namespace": release.jobs},
            "spec": {
                "nodeName": NODE,
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "securityContext": context,
                "containers": [
                    {
                        "name": "probe",
                        "image": f"{host}/probe:1",
                        "command": ["weed", "version"],
                        "securityContext": container,
                    }
                ],
            },
        }
        kubectl("apply", "-f", "-", stdin=json.dumps(body))
        kubectl(
            *("wait", "pod/probe", "-n", release.jobs, f"--timeout={PATIENCE:.0f}s"),
            "--for=jsonpath={.status.phase}=Succeeded",
            check=False,
        )
        state = kubectl("describe", "pod/probe", "-n", release.jobs)
        assert re.search(r"(?m)^Status: +Succeeded$", state), state
    finally:
        kubectl("delete", "pod/probe", "-n", release.jobs, "--ignore-not-found", "--wait=false")
        run("docker", "exec", NODE, "rm", "-rf", folder)
        # Docker bind-mounts the file, so it can be written but not replaced.
        others = (
            f"grep -v {host.partition(':')[0]} /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts"
        )
        run("docker", "exec", NODE, "sh", "-c", others)


def test_upgrade_keeps_keys_certificate_and_store(release: Release) -> None:
    def kept() -> list[Any]:
        return [
            release.secret(f"{release.name}-store"),
            release.secret(f"{release.name}-registry-tls"),
            release.pod("store")["metadata"]["uid"],
            release.pod("registry")["metadata"]["uid"],
        ]

    before, operator = kept(), release.pod("operator")["metadata"]["name"]
    release.helm("upgrade", CHART, operator={"logLevel": "DEBUG"})
    assert kept() == before
    after = release.pod("operator")["metadata"]["name"]
    assert after != operator
    assert holder(release, after) == after


def holder(release: Release, expected: str) -> str:
    """The holder of the Lease, once it is the expected one or after PATIENCE."""
    ends = time.monotonic() + PATIENCE
    while True:
        lease = get("lease", "fedjob-operator", "-n", release.namespace)
        found = str(lease["spec"].get("holderIdentity"))
        if found == expected or time.monotonic() > ends:
            return found
        time.sleep(0.5)


def older_chart(folder: Path) -> Path:
    """A copy of the chart, as of an earlier version: its CRD lacks the last printer column."""
    chart = folder / "fedjob"
    shutil.copytree(CHART, chart)
    file = chart / "files" / f"{CRD}.yaml"
    older, count = re.subn(r"(?m)^    - name: Result\n(?:      .*\n)+", "", file.read_text())
    assert count == 1
    file.write_text(older)
    return chart


def columns() -> list[str]:
    version = get("crd", CRD)["spec"]["versions"][0]
    return [column["name"] for column in version["additionalPrinterColumns"]]


def test_upgrade_updates_the_crd(release: Release, tmp_path: Path, kube: Kube) -> None:
    """Helm would not update a CRD in a chart's crds/ folder."""
    with kube.crd_lock(exclusive=True):
        release.helm("upgrade", older_chart(tmp_path))
        assert "Result" not in columns()
        release.helm("upgrade", CHART)
        assert "Result" in columns()


def test_upgrade_does_not_disturb_a_running_job(release: Release, tmp_path: Path) -> None:
    """The operator's pod is replaced, the job's pods are not, and the job completes."""
    text = (ROOT / "tests/cluster/chart-values.yaml").read_text()
    where = f"{release.namespace}-run"
    other = Release("fedjob", where, where, yaml.safe_load(text))
    other.values |= {
        "imageRegistry": REGISTRY,
        "namespaces": [where],
        "crds": {"install": False},
        "operator": {"image": {"pullPolicy": "Always"}},
    }
    program = ROOT / "examples/digits/make_shards.py"
    run(sys.executable, program, "--out", tmp_path)
    namespace(where)
    try:
        other.helm("install", CHART)
        with other.s3() as client:
            for shard in tmp_path.glob("*.zip"):
                client.upload_file(str(shard), "fedjob", f"jobs/{where}/digits/shards/{shard.name}")
        kubectl("apply", "-n", where, "-f", str(ROOT / "examples/digits/job.yaml"))
        wait_for_state(where, "Training")

        def pods() -> dict[str, str]:
            found = get("pods", "-n", where, "-l", "fedjob.dev/job=digits")["items"]
            return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in found}

        before, acting = pods(), other.pod("operator")["metadata"]["uid"]
        assert len(before) == 4
        logging = {**other.values["operator"], "logLevel": "DEBUG"}
        other.helm("upgrade", CHART, operator=logging)
        assert other.pod("operator")["metadata"]["uid"] != acting
        assert pods().items() <= before.items()
        wait_for_state(where, "Complete")
        rounds = get("federatedjob", "digits", "-n", where)["status"]["rounds"]
        assert rounds["completed"] == rounds["total"]
    finally:
        kubectl("delete", "fj", "--all", "-n", where, check=False)
        run(find_helm(), "uninstall", other.name, "-n", where, check=False)
        kubectl("delete", "namespace", where, "--wait=false")


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


def test_uninstall_leaves_only_the_crd_and_the_models(release: Release, kube: Kube) -> None:
    """Runs last. The claim stays because of `store.persistence.keep`."""
    output = run(find_helm(), "uninstall", release.name, "-n", release.namespace, "--wait")
    assert "resource policy" in output
    assert remaining_objects(release) == [f"PersistentVolumeClaim/{release.name}-store"]
    assert columns()
    kinds = "secrets,configmaps,leases,roles,rolebindings,services,networkpolicies,pods"
    for where in (release.namespace, release.jobs):
        left = [
            f"{found['kind']}/{found['metadata']['name']}"
            for found in get(kinds, "-n", where)["items"]
            if found["metadata"]["name"] != "kube-root-ca.crt"
        ]
        assert left == [], where
    # A new installation adopts both: it updates the CRD and reads the models with new keys.
    last = f"/spec/versions/0/additionalPrinterColumns/{columns().index('Result')}"
    removal = json.dumps([{"op": "remove", "path": last}])
    with kube.crd_lock(exclusive=True):
        kubectl("patch", "crd", CRD, "--type=json", "-p", removal)
        release.helm("install", CHART)
        assert "Result" in columns()
    with release.s3() as client:
        assert client.get_object(Bucket="fedjob", Key="model")["Body"].read() == b"weights"
    release.helm(
        "upgrade",
        CHART,
        store={
            **release.values["store"],
            "persistence": {**release.values["store"]["persistence"], "keep": False},
        },
    )
    run(find_helm(), "uninstall", release.name, "-n", release.namespace, "--wait")
    assert remaining_objects(release) == []

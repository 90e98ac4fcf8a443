"""`fedjob` as a person uses it who has rights on FederatedJobs of one namespace, and no others.

No Secret, pod, log or Event may be read, and the store has an address inside the cluster only: it
is reached by a port-forward. A proxy in front of the API server takes it away during a watch, and
stops an upload in the middle.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster_access.operator_deployment import OperatorDeployment
from e2e.cluster_access.recorder import recorder, shard
from fedjob.storage.layout import Layout
from support.cluster.tcp_proxy import TcpProxy, tcp_proxy

pytestmark = pytest.mark.e2e

MIB = 1024 * 1024
VERBS = ["get", "list", "watch", "create", "patch", "delete"]


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory, kube: object) -> Iterator[OperatorDeployment]:
    """An operator that offers its store inside the cluster, through a pod."""
    made = OperatorDeployment(tmp_path_factory.mktemp("operator"))
    try:
        made.set_up()
        pods = json.loads(
            made.kubectl("-n", made.system, "get", "pods", "-l", "app=store", "-o", "json")
        )
        pod = pods["items"][0]["metadata"]["name"]
        os.environ["FEDJOB_STORE_TUNNEL"] = f"{made.system}/{pod}:8333"
        address = f"http://store.{made.system}.svc.cluster.local:8333"
        os.environ["FEDJOB_STORE_CLIENT_ENDPOINT"] = address
        _user(made, pod)
        made.start()
        yield made
    finally:
        os.environ.pop("FEDJOB_STORE_TUNNEL", None)
        os.environ.pop("FEDJOB_STORE_CLIENT_ENDPOINT", None)
        made.tear_down()


def _user(made: OperatorDeployment, pod: str) -> None:
    """A ServiceAccount with the rights that the chart gives to whom it lets submit jobs."""
    where = ("-n", made.jobs)
    made.kubectl(*where, "create", "serviceaccount", "scientist")
    subject = [{"kind": "ServiceAccount", "name": "scientist", "namespace": made.jobs}]
    rules = {
        made.jobs: {"apiGroups": ["fedjob.dev"], "resources": ["federatedjobs"], "verbs": VERBS},
        made.system: {"apiGroups": [""], "resources": ["pods/portforward"],
                      "resourceNames": [pod], "verbs": ["create", "get"]},
    }  # fmt: skip
    group = "rbac.authorization.k8s.io"
    for namespace, rule in rules.items():
        role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "scientist"},
                "rules": [rule]}  # fmt: skip
        binding = {
            "apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": {"name": "scientist"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "scientist"},
            "subjects": subject,
        }  # fmt: skip
        for body in (role, binding):
            made.kubectl("-n", namespace, "apply", "-f", "-", given=yaml.safe_dump(body))


@pytest.fixture
def proxy(inside: OperatorDeployment) -> Iterator[TcpProxy]:
    text = yaml.safe_load(Path(inside.env["KUBECONFIG"]).read_text())
    with tcp_proxy(text["clusters"][0]["cluster"]["server"]) as found:
        yield found


class Person:
    """Runs `fedjob` with the kubeconfig of the ServiceAccount, from a folder with shards."""

    def __init__(self, deployment: OperatorDeployment, proxy: TcpProxy, folder: Path) -> None:
        self.folder = folder
        text = yaml.safe_load(Path(deployment.env["KUBECONFIG"]).read_text())
        cluster = {**text["clusters"][0]["cluster"], "server": proxy.url.replace("http", "https"),
                   "tls-server-name": "kubernetes"}  # fmt: skip
        token = deployment.kubectl("-n", deployment.jobs, "create", "token", "scientist").strip()
        context = {"cluster": "c", "user": "u", "namespace": deployment.jobs}
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}],
            "contexts": [{"name": "c", "context": context}],
            "users": [{"name": "u", "user": {"token": token}}],
        }  # fmt: skip
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        self._environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "80",
            "KUBECONFIG": str(folder / "kubeconfig"),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }  # fmt: skip

    def write(
        self, name: str, rounds: int, samples: tuple[int, ...], padding: int = 0, **federation: Any
    ) -> None:
        """A job file, and a shard for each number of samples."""
        (self.folder / "shards").mkdir(exist_ok=True)
        for index, count in enumerate(samples):
            path = self.folder / f"shards/part-{index}.zip"
            path.write_bytes(shard(count))
            if padding:
                with zipfile.ZipFile(path, "a") as archive:
                    archive.writestr("padding.bin", random.Random(index).randbytes(padding))
        spec = recorder(rounds)
        spec["federation"] |= federation
        spec.setdefault("workers", {"gpu": 0})
        body = {"apiVersion": "fedjob.dev/v1alpha1", "kind": "FederatedJob",
                "metadata": {"name": name}, "spec": spec}  # fmt: skip
        (self.folder / "job.yaml").write_text(yaml.safe_dump(body))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        program = Path(sys.executable).parent / "fedjob"
        return subprocess.Popen(
            [program, *arguments], cwd=self.folder, env=self._environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, *arguments: str, code: int = 0) -> str:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=400)
        print(f"$ fedjob {' '.join(arguments)}\n{out}{err}")
        assert process.returncode == code, f"{arguments}: {process.returncode}\n{out}\n{err}"
        self.errors = err
        return out


@pytest.fixture
def person(inside: OperatorDeployment, proxy: TcpProxy, tmp_path: Path) -> Person:
    return Person(inside, proxy, tmp_path)


def test_folder_of_shards_becomes_a_model_without_keys_or_pods(
    inside: OperatorDeployment, person: Person, proxy: TcpProxy
) -> None:
    # Every round has the same `step`, so the first stays the best.
    person.write("sent", 2, (4, 8), bestModel={"metric": "step", "mode": "max"})
    out = person("submit", "job.yaml", "--shards", "shards")
    assert "`fedjob watch sent` shows the run" in out

    # The API server goes away for some seconds while the run is watched.
    watching = person.start("watch", "sent")
    assert watching.stdout is not None
    first = watching.stdout.readline()
    proxy.down = True
    proxy.cut()
    time.sleep(20)  # longer than one request is tried
    proxy.down = False
    rest, errors = watching.communicate(timeout=400)
    shown = first + rest
    print(f"$ fedjob watch sent\n{shown}{errors}")
    assert watching.returncode == 0
    assert "connection lost, trying again" in errors
    assert shown.count("round 1/2:") == shown.count("round 2/2:") == 1
    assert "sent is complete" in errors

    line = person("list").splitlines()[1].split()
    assert line[:4] == ["sent", "Complete", "2/2", "2/2"]
    status = json.loads(person("get", "sent", "--json"))
    person("result", "sent", "--out", "out")
    model = (person.folder / "out/model.safetensors").read_bytes()
    assert hashlib.sha256(model).hexdigest() == status["result"]["sha256"]
    assert sorted(path.name for path in (person.folder / "out").iterdir()) == [
        "GLOBAL_MODEL.pt", "best_model.safetensors", "model.safetensors", "report.html",
        "result.json",
    ]  # fmt: skip
    best = (person.folder / "out/best_model.safetensors").read_bytes()
    assert (status["best"]["round"], status["best"]["sha256"]) == (
        1,
        hashlib.sha256(best).hexdigest(),
    )
    person("result", "sent", "--round", "1", "--out", "out")
    assert (person.folder / "out/round-1.safetensors").read_bytes() == best != model
    person("report", "sent", "--out", "report.html")
    assert b"<html" in (person.folder / "report.html").read_bytes()
    assert "TrainingComplete" in person("events", "sent") or "Complete" in person("events", "sent")
    checks = json.loads(person("doctor", "--json"))["checks"]
    assert {c["name"]: c["outcome"] for c in checks}["rights"] == "ok"
    assert person("cancel", "sent", "--yes") == f"{inside.jobs}/sent deleted\n"
    assert "no FederatedJobs" in (person("list") or person.errors)


def test_submit_that_is_killed_in_the_middle_is_repeated(
    inside: OperatorDeployment, person: Person, proxy: TcpProxy
) -> None:
    person.write("killed", 1, (4, 8), padding=40 * MIB)
    proxy.hold(after=45 * MIB)
    process = person.start("submit", "job.yaml", "--shards", "shards")
    while not proxy.holding:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    process.communicate()
    proxy.release()
    before = proxy.sent
    person("submit", "job.yaml", "--shards", "shards")
    assert proxy.sent - before < 80 * MIB  # the parts that had arrived are not sent again
    layout = Layout(inside.jobs, "killed")
    for path in (person.folder / "shards").iterdir():
        head = inside.bucket.head(layout.shard(path.name))
        assert head is not None
        assert head.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    person("suspend", "killed")
    assert json.loads(person("resume", "killed", "--json"))["suspended"] is False
    assert person("watch", "killed").count("round 1/1:") == 1
    person("cancel", "killed", "--yes")


def test_what_is_not_allowed_is_named(inside: OperatorDeployment, person: Person) -> None:
    person("list", "-A", code=3)
    assert "not allowed: list federatedjobs in the whole cluster" in person.errors
    person("list", "-n", inside.other, code=3)
    assert f"in namespace {inside.other}" in person.errors
    person("get", "nothing", code=2)
    assert "no such job" in person.errors
